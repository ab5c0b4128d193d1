//! Tasks that keep their request's trace and deadline: the only place that calls tokio's own functions.

use telemetry::context::{InContext, carry};
use tokio::task::JoinHandle;

use crate::grpc::deadline;

/// `tokio::spawn`, in the trace context and with the deadline of the caller.
#[allow(clippy::disallowed_methods)]
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match deadline::current() {
        Some(at) => tokio::spawn(deadline::until(at, work).in_current_context()),
        None => tokio::spawn(work.in_current_context()),
    }
}

/// `tokio::task::spawn_blocking`, in the trace context and with the deadline of the caller.
#[allow(clippy::disallowed_methods)]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let at = deadline::current();
    tokio::task::spawn_blocking(carry(move || deadline::attached(at, work)))
}
