//! Tasks that keep their request's trace: the only place that calls tokio's own functions.

use telemetry::context::{InContext, carry};
use tokio::task::JoinHandle;

/// `tokio::spawn`, in the trace context of the caller.
#[allow(clippy::disallowed_methods)]
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(work.in_current_context())
}

/// `tokio::task::spawn_blocking`, in the trace context of the caller.
#[allow(clippy::disallowed_methods)]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(carry(work))
}
