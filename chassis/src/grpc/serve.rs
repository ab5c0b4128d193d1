//! gRPC servers: one for all connections, or one thread for each.

use std::{convert::Infallible, future::ready, net::TcpListener, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use telemetry::grpc::GrpcServer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    service::Routes,
    transport::{Server, server::Router},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tower_layer::{Identity, Stack};

use super::{KEEP_ALIVE, connection::GrpcConnection};
use crate::{
    Process, StartError, spawn,
    threads::{self, Connections},
};

/// How often readiness is copied to grpc.health.v1.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// What a connection is told for which there is no thread: an empty SETTINGS frame, and GOAWAY with `REFUSED_STREAM`,
/// which callers see as UNAVAILABLE (RFC 9113).
const REFUSAL: &[u8] = &[
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, // GOAWAY
];

/// Serves until the process stops, then drains. `factory` makes the routes together with the clients that they use; it
/// is run once on each serving runtime. grpc.health.v1 (following [`Process::readiness`]) and reflection come along.
///
/// # Errors
/// The factory's, or the operating system's.
pub async fn serve<F>(
    listener: TcpListener,
    process: &Process,
    services: &'static [&'static str],
    factory: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Result<(), StartError>
where
    F: Future<Output = Result<Routes, StartError>>,
{
    let (reporter, health) = tonic_health::server::health_reporter();
    drop(spawn(report_health(reporter, process.clone(), services)));
    if let Some(limits) = process.thread_per_connection() {
        let thread = move |connections| serve_thread(connections, &factory, &health);
        return threads::serve(listener, process, limits, REFUSAL, thread).await;
    }
    let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
    let shutdown = process.shutdown.clone();
    server(factory().await?, health, None)?.serve_with_incoming_shutdown(incoming, async move { shutdown.cancelled().await }).await?;
    Ok(())
}

/// Serves connections one after the other, each with one call at a time, on this thread alone.
fn serve_thread<F>(mut connections: Connections, factory: &impl Fn() -> F, health: &HealthServer<impl Health>) -> Result<(), StartError>
where
    F: Future<Output = Result<Routes, StartError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let routes = factory().await?;
        while let Some((stream, _)) = connections.next().await {
            let _nodelay = stream.set_nodelay(true);
            let (connection, closed) = GrpcConnection::new(stream);
            // the end of the stream would be the end of the connection
            let incoming = stream::once(ready(Ok::<_, Infallible>(connection))).chain(stream::pending());
            let (shortage, shutdown) = (Arc::clone(&connections.shortage), connections.shutdown());
            // the first of these ends the connection, once the call that it may be busy with is over
            let end = async move {
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = shutdown.cancelled() => {}
                    () = shortage.room_is_wanted() => {}
                }
            };
            let server = server(routes.clone(), health.clone(), Some(1))?;
            if let Err(error) = server.serve_with_incoming_shutdown(incoming, end).await {
                tracing::debug!(%error, "a connection broke");
            }
        }
        Ok(())
    })
}

/// A server of these routes, with what every server has. `streams` is how many calls a connection may have open.
fn server(
    routes: Routes,
    health: HealthServer<impl Health>,
    streams: Option<u32>,
) -> Result<Router<Stack<GrpcServer, Identity>>, StartError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let mut server =
        Server::builder().tcp_nodelay(true).http2_keepalive_interval(Some(KEEP_ALIVE)).max_concurrent_streams(streams).layer(GrpcServer);
    Ok(server.add_routes(routes).add_service(health).add_service(reflection))
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
