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
    /// Starts below `parent`: the context which an outbox row kept. `key` is told where it is text.
    pub fn below(parent: &TraceContext, topic: &str, key: Option<&str>) -> Self {
        Self::start(&parent.to_context(), topic, key, Vec::new())
    }

    /// Starts below what this thread is serving right now.
    pub fn below_current(topic: &str, key: Option<&str>) -> Self {
        Self::start(&Context::current(), topic, key, Vec::new())
    }

    /// Starts below the span that sent a record before, with a link to it: the record is sent once more.
    pub fn again(sender: &TraceContext, topic: &str, key: Option<&str>) -> Self {
        let parent = sender.to_context();
        let before = parent.span().span_context().clone();
        let links = if before.is_valid() { vec![Link::with_context(before)] } else { Vec::new() };
        Self::start(&parent, topic, key, links)
    }

    fn start(parent: &Context, topic: &str, key: Option<&str>, links: Vec<Link>) -> Self {
        let mut attributes = shared_attributes(topic, "send", "send");
        attributes.extend(key.map(|key| KeyValue::new(semconv::MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned())));
        let builder =
            SpanBuilder::from_name(format!("send {topic}")).with_kind(SpanKind::Producer).with_attributes(attributes).with_links(links);
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

/// What became of a delivered record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has its effect now.
    Processed,
    /// It had its effect before.
    Duplicate,
    /// It is of a type that came after this program, on a topic of many types: nothing came of it.
    Ignored,
    /// The dead letter topic has acknowledged it.
    DeadLettered,
    /// Something that it needs is away: it is delivered again.
    Postponed,
    /// Left to whoever has the partition next.
    Abandoned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Processed, Self::Duplicate, Self::Ignored, Self::DeadLettered, Self::Postponed, Self::Abandoned];

    /// For spans and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::DeadLettered => "dead_lettered",
            Self::Postponed => "postponed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// How often a record was tried in this delivery.
pub const ATTEMPTS: &str = "throughline.consumer.attempts";
/// [`Outcome::name`]
pub const OUTCOME: &str = "throughline.consumer.outcome";
/// How often a record was replayed from the dead letters. Absent where it never was.
pub const REPLAYS: &str = "throughline.replays";
/// The record header that says so.
const REPLAYS_HEADER: &str = "dlq.replays";

/// The span of one record being processed: a child of the span that sent it, with a link to it too. Clones are the same span.
#[derive(Debug, Clone)]
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
        attributes.extend(headers.and_then(replays).map(|replays| KeyValue::new(REPLAYS, replays)));
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
    pub fn end(self, attempts: usize, outcome: Outcome, error: Option<(String, String)>) {
        metrics::process(&self.topic, self.edge.since, &self.edge.context);
        self.edge.set([KeyValue::new(ATTEMPTS, i64::try_from(attempts).unwrap_or(i64::MAX)), KeyValue::new(OUTCOME, outcome.name())]);
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

fn replays(headers: &BorrowedHeaders) -> Option<i64> {
    RecordHeaders(headers).get(REPLAYS_HEADER)?.parse().ok().filter(|replays| *replays > 0)
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
