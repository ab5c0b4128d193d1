//! The trace context where it leaves a thread, a task or the process.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{FutureExt, SpanContext, TraceContextExt, WithContext},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::{config::Hop, setup::forwards};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";
/// Of version 00.
const TRACEPARENT_LENGTH: usize = 55;

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
        let mut carrier = Self::default();
        Context::map_current(|context| inject(context, &mut carrier));
        carrier
    }

    pub(crate) fn to_context(&self) -> Context {
        extract(self)
    }
}

impl Injector for TraceContext {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.traceparent = Some(value),
            TRACESTATE => self.tracestate = Some(value),
            _ => {}
        }
    }
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent.as_deref(),
            TRACESTATE => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        [TRACEPARENT, TRACESTATE].into_iter().filter(|key| self.get(key).is_some()).collect()
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

/// Writes the context into a carrier, as the SDK's propagators do; without a header where there is nothing to say.
pub(crate) fn inject(context: &Context, carrier: &mut dyn Injector) {
    let span = context.span();
    let ids = span.span_context();
    if ids.is_valid() {
        carrier.set(TRACEPARENT, traceparent(ids));
        let state = ids.trace_state().header();
        if !state.is_empty() {
            carrier.set(TRACESTATE, state);
        }
    }
    BaggagePropagator::new().inject_context(context, carrier);
}

/// The remote context that a carrier holds, with nothing of this thread's own.
pub(crate) fn extract(carrier: &dyn Extractor) -> Context {
    let context = match carrier.get(TRACEPARENT) {
        None => Context::new(),
        Some(text) => match ids(text) {
            Some((trace, span, flags)) => {
                let state = carrier.get(TRACESTATE).and_then(|state| state.parse().ok()).unwrap_or_default();
                Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, state))
            }
            None => TraceContextPropagator::new().extract_with_context(&Context::new(), carrier),
        },
    };
    match carrier.get(BAGGAGE) {
        None => context,
        Some(_) => BaggagePropagator::new().extract_with_context(&context, carrier),
    }
}

fn traceparent(ids: &SpanContext) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(TRACEPARENT_LENGTH);
    let mut part = |before: &str, bytes: &[u8]| {
        text.push_str(before);
        for byte in bytes {
            text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
        }
    };
    part("00-", &ids.trace_id().to_bytes());
    part("-", &ids.span_id().to_bytes());
    part("-", &[(ids.trace_flags() & TraceFlags::SAMPLED).to_u8()]);
    text
}

/// Reads the one form that version 00 has. What is none is left to the SDK, which knows what is allowed beyond it.
fn ids(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let text: &[u8; TRACEPARENT_LENGTH] = text.as_bytes().try_into().ok()?;
    if !text.starts_with(b"00-") || text[35] != b'-' || text[52] != b'-' {
        return None;
    }
    let (trace, span) = (TraceId::from(hex(&text[3..35])?), SpanId::from(u64::try_from(hex(&text[36..52])?).ok()?));
    let flags = TraceFlags::new(u8::try_from(hex(&text[53..])?).ok()?) & TraceFlags::SAMPLED;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, flags))
}

fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
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
        let name = match key {
            TRACEPARENT => Ok(http::HeaderName::from_static(TRACEPARENT)),
            _ => http::HeaderName::try_from(key),
        };
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(traceparent: &str, tracestate: Option<&str>) -> TraceContext {
        TraceContext { traceparent: Some(traceparent.to_owned()), tracestate: tracestate.map(str::to_owned) }
    }

    #[test]
    fn what_is_read_is_what_the_sdk_reads() {
        let texts = [
            SAMPLED,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "nonsense",
            "",
        ];
        for text in texts {
            for state in [None, Some(""), Some("vendor=opaque,other=1"), Some("no state")] {
                let carrier = of(text, state);
                let expected = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
                let read = extract(&carrier);
                assert_eq!(read.span().span_context(), expected.span().span_context(), "{text:?} {state:?}");
                assert_eq!(read.has_active_span(), expected.has_active_span(), "{text:?} {state:?}");
            }
        }
    }

    #[test]
    fn what_came_in_goes_on() {
        for carrier in [of(SAMPLED, None), of(&SAMPLED.replace("-01", "-00"), Some("vendor=opaque,other=1"))] {
            let mut next = TraceContext::default();
            inject(&extract(&carrier), &mut next);
            assert_eq!(next, carrier);
        }
    }
}
