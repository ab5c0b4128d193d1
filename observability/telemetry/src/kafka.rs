//! Spans for Kafka's two hops, made by hand where a record is sent and where it is processed.
//! <https://opentelemetry.io/docs/specs/semconv/messaging/kafka/>

use kafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector},
    trace::{FutureExt, Link, SpanBuilder, SpanKind, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::{
    config::Hop,
    context::{TraceContext, extract, inject},
    metrics,
    setup::forwards,
    span::Edge,
};

/// The span of one record on its way to the broker, until it is acknowledged.
#[derive(Debug)]
pub struct SendSpan {
    edge: Edge,
    topic: String,
}

impl SendSpan {
    /// Starts below `parent`: the context which an outbox row kept.
    pub fn below(parent: &TraceContext, topic: &str, key: &str) -> Self {
        Self::start(&parent.to_context(), topic, key)
    }

    /// Starts below what this thread is serving right now.
    pub fn below_current(topic: &str, key: &str) -> Self {
        Self::start(&Context::current(), topic, key)
    }

    fn start(parent: &Context, topic: &str, key: &str) -> Self {
        let mut attributes = shared_attributes(topic, "send", "send");
        attributes.push(KeyValue::new(semconv::MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned()));
        let builder = SpanBuilder::from_name(format!("send {topic}")).with_kind(SpanKind::Producer).with_attributes(attributes);
        Self { edge: Edge::start_kafka(builder, parent), topic: topic.to_owned() }
    }

    /// Adds the record headers that carry the trace on.
    pub fn inject(&self, headers: OwnedHeaders) -> OwnedHeaders {
        struct Carrier(Option<OwnedHeaders>);
        impl Injector for Carrier {
            fn set(&mut self, key: &str, value: String) {
                if !value.is_empty() {
                    self.0 = self.0.take().map(|headers| headers.insert(Header { key, value: Some(&value) }));
                }
            }
        }
        let mut carrier = Carrier(Some(headers));
        if forwards(Hop::Kafka) {
            inject(&self.edge.context, &mut carrier);
        }
        carrier.0.unwrap_or_default()
    }

    /// The broker has the record.
    pub fn acknowledged(self, partition: i32, offset: i64) {
        metrics::publish(&self.topic, self.edge.since, &self.edge.context);
        self.edge.set([
            KeyValue::new(semconv::MESSAGING_DESTINATION_PARTITION_ID, partition.to_string()),
            KeyValue::new(semconv::MESSAGING_KAFKA_OFFSET, offset),
        ]);
        self.edge.end(None);
    }

    /// The broker did not take the record.
    pub fn failed(self, reason: &str) {
        metrics::publish(&self.topic, self.edge.since, &self.edge.context);
        self.edge.end(Some(("_OTHER".into(), reason.into())));
    }
}

/// Where a record was read.
#[derive(Debug, Clone, Copy)]
pub struct ReadFrom<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Consumer group.
    pub group: &'a str,
    /// Record key, if there is one.
    pub key: Option<&'a str>,
}

/// The span of one record being processed: a child of the span that sent it, with a link to it too.
#[derive(Debug)]
pub struct ProcessSpan {
    edge: Edge,
    topic: String,
}

impl ProcessSpan {
    /// Starts below the span which the record's headers name.
    pub fn start(from: ReadFrom<'_>, headers: Option<&BorrowedHeaders>) -> Self {
        let parent = headers.map_or_else(Context::new, |headers| extract(&RecordHeaders(headers)));
        let mut attributes = shared_attributes(from.topic, "process", "process");
        attributes.extend([
            KeyValue::new(semconv::MESSAGING_DESTINATION_PARTITION_ID, from.partition.to_string()),
            KeyValue::new(semconv::MESSAGING_KAFKA_OFFSET, from.offset),
            KeyValue::new(semconv::MESSAGING_CONSUMER_GROUP_NAME, from.group.to_owned()),
        ]);
        attributes.extend(from.key.map(|key| KeyValue::new(semconv::MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned())));
        let sender = parent.span().span_context().clone();
        let links = if sender.is_valid() { vec![Link::with_context(sender)] } else { Vec::new() };
        let builder = SpanBuilder::from_name(format!("process {}", from.topic))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes)
            .with_links(links);
        Self { edge: Edge::start_kafka(builder, &parent), topic: from.topic.to_owned() }
    }

    /// Runs the handler within the span.
    pub async fn within<F: Future>(&self, work: F) -> F::Output {
        work.with_context(self.edge.context.clone()).await
    }

    /// Ends the span; `error` is `(error.type, description)` of what made the processing fail.
    pub fn end(self, error: Option<(String, String)>) {
        metrics::process(&self.topic, self.edge.since, &self.edge.context);
        self.edge.end(error);
    }
}

fn shared_attributes(topic: &str, name: &'static str, kind: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new(semconv::MESSAGING_SYSTEM, "kafka"),
        KeyValue::new(semconv::MESSAGING_DESTINATION_NAME, topic.to_owned()),
        KeyValue::new(semconv::MESSAGING_OPERATION_NAME, name),
        KeyValue::new(semconv::MESSAGING_OPERATION_TYPE, kind),
    ]
}

struct RecordHeaders<'a>(&'a BorrowedHeaders);

impl Extractor for RecordHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|header| header.key == key).and_then(|header| std::str::from_utf8(header.value?).ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }
}
