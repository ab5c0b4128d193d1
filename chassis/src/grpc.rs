//! gRPC servers and channels, on tonic.

mod channel;
mod connection;
pub mod deadline;
mod forgetful;
mod guard;
mod retry;
mod serve;
mod services;

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

pub(crate) use channel::open;
pub use channel::{Channel, channel};
pub use serve::serve;
pub use services::Services;
use tonic::{Code, Request, Response, Status, TimeoutExpired};

/// The largest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Awaits a call for at most `limit`, and no longer than the [deadline] of the request that is being served, and tells
/// the callee to give up then as well (`grpc-timeout`).
///
/// # Errors
/// The callee's status; `UNAVAILABLE` where the connection broke; `DEADLINE_EXCEEDED` where time was up, at once where
/// none was left ([`deadline::is_over`] tells whether it was the request's or only `limit`).
pub async fn within<T, M, F>(limit: Duration, message: M, call: impl FnOnce(Request<M>) -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let limit = deadline::left().map_or(limit, |left| left.min(limit));
    if limit.is_zero() {
        return Err(out_of_time(limit));
    }
    let (mut request, begun) = (Request::new(message), Instant::now());
    request.set_timeout(limit);
    match tokio::time::timeout(limit, call(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        // some servers, tonic's for one, say so when the time that they were told is up
        Ok(Err(status)) if status.code() == Code::Cancelled && begun.elapsed() >= limit => Err(out_of_time(limit)),
        Ok(Err(status)) => Err(own(status, limit)),
        Err(_) => Err(out_of_time(limit)),
    }
}

fn out_of_time(limit: Duration) -> Status {
    if deadline::is_over() {
        return deadline::passed();
    }
    Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()))
}

/// A status that no service sent, for tonic made it of an error, under the code that it has by the specification of gRPC:
/// what broke is unavailable. The client's own timer, which `grpc-timeout` sets, can be the first to notice the end.
fn own(status: Status, limit: Duration) -> Status {
    let mut cause = status.source();
    if cause.is_none() {
        return status;
    }
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return out_of_time(limit);
        }
        cause = error.source();
    }
    Status::unavailable(format!("no answer: {status}"))
}
