//! gRPC servers and channels, on tonic.

mod connection;
mod serve;

use std::time::Duration;

pub use serve::serve;
use telemetry::grpc::{GrpcClient, GrpcClientService};
use tonic::{Status, transport::Endpoint};
use tower_layer::Layer;

use crate::StartError;

/// A connection to another service that is opened when first used, opened again when broken, and carries the trace on.
pub type Channel = GrpcClientService<tonic::transport::Channel>;

/// The largest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A channel to `uri`. Make one on each serving thread, inside its runtime: the connection lives on the runtime that
/// made it.
///
/// # Errors
/// Where `uri` is none.
pub fn channel(uri: &str) -> Result<Channel, StartError> {
    let endpoint = Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    Ok(GrpcClient::new(endpoint.uri()).layer(endpoint.connect_lazy()))
}

/// Awaits a call for at most `limit`, and tells the callee to give up then as well (`grpc-timeout`).
///
/// # Errors
/// The callee's status, or `DEADLINE_EXCEEDED`.
pub async fn within<T, M, F>(limit: Duration, message: M, call: impl FnOnce(tonic::Request<M>) -> F) -> Result<T, Status>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let mut request = tonic::Request::new(message);
    request.set_timeout(limit);
    match tokio::time::timeout(limit, call(request)).await {
        Ok(result) => result.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()))),
    }
}
