//! The trace context where it leaves a thread, a task or the process.

use std::collections::HashMap;

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{FutureExt, TraceContextExt, WithContext},
};

use crate::{config::Hop, setup::forwards};

/// A W3C trace context in its text form, as it is kept in an outbox row.
/// <https://www.w3.org/TR/trace-context/>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<parent id>-<flags>`; none where there is no trace.
    pub traceparent: Option<String>,
    /// Vendors' additions; none where empty.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The context of the request that is being served on this thread right now; none where the process is told not to
    /// forward it to Kafka.
    pub fn current() -> Self {
        if !forwards(Hop::Kafka) {
            return Self::default();
        }
        let mut carrier = HashMap::new();
        Context::map_current(|context| inject(context, &mut carrier));
        Self { traceparent: carrier.remove("traceparent"), tracestate: carrier.remove("tracestate").filter(|text| !text.is_empty()) }
    }

    pub(crate) fn to_context(&self) -> Context {
        let mut carrier = HashMap::new();
        carrier.extend(self.traceparent.clone().map(|text| ("traceparent".to_owned(), text)));
        carrier.extend(self.tracestate.clone().map(|text| ("tracestate".to_owned(), text)));
        extract(&carrier)
    }
}

/// Hexadecimal trace id of the request that is being served on this thread right now.
pub fn current_trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span().span_context().clone();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

/// Runs a future, wherever it is polled, in the context in which it was made.
pub trait InContext: Sized {
    /// Wraps the future with the current context.
    fn in_current_context(self) -> WithContext<Self> {
        self.with_context(Context::current())
    }
}

impl<F: Future> InContext for F {}

/// Carries the current context into a closure that runs on another thread.
pub fn carry<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let context = Context::current();
    move || {
        let _attached = context.attach();
        work()
    }
}

pub(crate) fn inject(context: &Context, carrier: &mut dyn Injector) {
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, carrier));
}

/// The remote context that a carrier holds, with nothing of this thread's own.
pub(crate) fn extract(carrier: &dyn Extractor) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), carrier))
}

/// HTTP headers as a carrier: of `http` 1 (tonic).
pub(crate) struct Headers<'a>(pub &'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

pub(crate) struct HeadersMut<'a>(pub &'a mut http::HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
