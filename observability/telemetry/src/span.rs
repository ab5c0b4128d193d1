//! Starting and ending spans: all that the layers share.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::setup::{makes_kafka_spans, makes_spans, tracer};

/// Something that happens at an edge: a span where this process makes one, and its begin in any case. Where it makes none
/// the context is the parent's as it is, so that what comes in is what goes on.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) context: Context,
    pub(crate) since: Instant,
    own: bool,
}

impl Edge {
    /// HTTP, gRPC, SQL, Redis.
    pub(crate) fn start(name: impl Into<Cow<'static, str>>, kind: SpanKind, attributes: Vec<KeyValue>, parent: &Context) -> Self {
        let builder = || {
            let mut builder = SpanBuilder::from_name(name).with_kind(kind);
            builder.attributes = Some(attributes);
            builder
        };
        Self::build(makes_spans(), builder, parent)
    }

    /// Records sent to and read from Kafka, for which OBI has no span.
    pub(crate) fn start_kafka(builder: SpanBuilder, parent: &Context) -> Self {
        Self::build(makes_kafka_spans(), || builder, parent)
    }

    fn build(wanted: bool, builder: impl FnOnce() -> SpanBuilder, parent: &Context) -> Self {
        let span = tracer().filter(|_| wanted).map(|tracer| tracer.build_with_context(builder(), parent));
        let own = span.is_some();
        let context = span.map_or_else(|| parent.clone(), |span| parent.with_span(span));
        Self { context, since: Instant::now(), own }
    }

    /// Adds to the span what became known since it started.
    pub(crate) fn set(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        if self.own {
            self.context.span().set_attributes(attributes);
        }
    }

    /// Gives the span its final name.
    pub(crate) fn rename(&self, name: String) {
        if self.own {
            self.context.span().update_name(name);
        }
    }

    /// Ends the span, as failed where `error` is given: `(error.type, description)`.
    pub(crate) fn end(&self, error: Option<(String, String)>) {
        if !self.own {
            return;
        }
        let span = self.context.span();
        if let Some((error_type, description)) = error {
            span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type));
            span.set_status(Status::error(description));
        }
        span.end();
    }
}

/// True where a call made now belongs to somebody's request. Polling loops and pings do not, and get no span.
pub(crate) fn has_parent(context: &Context) -> bool {
    context.has_active_span() && context.span().span_context().is_valid()
}

/// A text that many spans say: their copies are of a pointer.
pub(crate) fn shared(text: &str) -> Value {
    Value::String(Arc::<str>::from(text).into())
}

/// The callee of client spans.
pub(crate) fn server(host: &str, port: impl Into<i64>) -> Vec<KeyValue> {
    vec![KeyValue::new(semconv::SERVER_ADDRESS, shared(host)), KeyValue::new(semconv::SERVER_PORT, port.into())]
}
