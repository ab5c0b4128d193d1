//! Starting and ending spans: all that the layers share.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::setup::tracer;

/// Starts a span below `parent` and returns the context in which it is the active one. Where the mode is `off` the
/// parent is returned as it is, so that what comes in is what goes on.
pub(crate) fn start(
    name: impl Into<std::borrow::Cow<'static, str>>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    parent: &Context,
) -> Context {
    start_builder(SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes), parent)
}

pub(crate) fn start_builder(builder: SpanBuilder, parent: &Context) -> Context {
    match tracer() {
        Some(tracer) => parent.with_span(tracer.build_with_context(builder, parent)),
        None => parent.clone(),
    }
}

/// True where a call made now belongs to somebody's request. Polling loops and pings do not, and get no span.
pub(crate) fn has_parent(context: &Context) -> bool {
    context.has_active_span() && context.span().span_context().is_valid()
}

/// Ends the context's span, as failed where `error` is given: `(error.type, description)`.
pub(crate) fn end(context: &Context, error: Option<(String, String)>) {
    if tracer().is_none() {
        return;
    }
    let span = context.span();
    if let Some((error_type, description)) = error {
        span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type));
        span.set_status(Status::error(description));
    }
    span.end();
}
