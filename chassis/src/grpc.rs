//! gRPC servers and channels, on tonic.

use std::{net::TcpListener, time::Duration};

use telemetry::grpc::{GrpcClient, GrpcClientService, GrpcServer};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Status,
    service::Routes,
    transport::{Endpoint, Server},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower_layer::Layer;

use crate::{Process, StartError, spawn};

/// A connection to another service that is opened when first used, opened again when broken, and carries the trace on.
pub type Channel = GrpcClientService<tonic::transport::Channel>;

/// The largest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How often readiness is copied to grpc.health.v1.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

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

/// Serves until the process stops, then drains. `factory` makes the routes together with the clients that they use; it
/// is run once on each serving runtime. grpc.health.v1 (following [`Process::readiness`]) and reflection come along.
///
/// # Errors
/// The factory's, or the operating system's.
pub async fn serve<F>(
    listener: TcpListener,
    process: &Process,
    services: &'static [&'static str],
    factory: impl Fn() -> F + Send,
) -> Result<(), StartError>
where
    F: Future<Output = Result<Routes, StartError>> + Send,
{
    let (reporter, health) = tonic_health::server::health_reporter();
    spawn(report_health(reporter, process.clone(), services));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
    let shutdown = process.shutdown.clone();
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .layer(GrpcServer)
        .add_routes(factory().await?)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, async move { shutdown.cancelled().await })
        .await?;
    Ok(())
}

async fn report_health(reporter: HealthReporter, process: Process, services: &'static [&'static str]) {
    loop {
        let ready = !process.shutdown.is_cancelled() && process.readiness.failures().await.is_empty();
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in services.iter().copied().chain([""]) {
            reporter.set_service_status(name, status).await;
        }
        tokio::select! {
            () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            () = process.shutdown.cancelled() => {
                for name in services.iter().copied().chain([""]) {
                    reporter.set_service_status(name, ServingStatus::NotServing).await;
                }
                return;
            }
        }
    }
}
