//! A caller of the mesh with a trace context of its own: what it sends, and the span that is in no trace of ours.

use crate::backend::id::TraceId;

/// The header in which a caller's context travels (W3C Trace Context).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The caller of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The trace that it begins.
    pub(crate) trace: TraceId,
    /// Its own span, 16 hex digits.
    pub(crate) span: String,
}

impl Caller {
    /// A caller that nobody has met before.
    pub(crate) fn new() -> Self {
        Self { trace: TraceId::random(), span: format!("{:016x}", rand::random::<u64>().max(1)) }
    }

    /// The value of [`TRACEPARENT`], sampled.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}
