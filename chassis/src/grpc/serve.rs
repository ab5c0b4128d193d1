//! gRPC servers: one for all connections, or one thread for each.

use std::{convert::Infallible, future::ready, net::TcpListener, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use telemetry::grpc::GrpcServer;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{
        Server,
        server::{Router, TcpIncoming},
    },
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tower_layer::{Identity, Stack};

use super::{KEEP_ALIVE, connection::GrpcConnection, guard::Guard, services::Services};
use crate::{
    Process, StartError, spawn,
    threads::{self, Connections, DRAIN, Place},
    tls::Tls,
};

/// How often readiness is copied to grpc.health.v1.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// What a connection is told for which there is no thread: an empty SETTINGS frame, and GOAWAY with `REFUSED_STREAM`,
/// which callers see as UNAVAILABLE (RFC 9113).
const REFUSAL: &[u8] = &[
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, // GOAWAY
];

/// Serves until the process stops: then grpc.health.v1 says so, no connection is taken any more, calls that were begun are
/// finished, and streams end with `UNAVAILABLE`. `factory` makes the routes together with the clients that they use; it
/// is run once on each serving runtime. grpc.health.v1 (following [`Process::readiness`]) and reflection come along.
///
/// # Errors
/// The factory's, or the operating system's.
pub async fn serve<F>(
    listener: TcpListener,
    process: &Process,
    services: impl Into<Services>,
    factory: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Result<(), StartError>
where
    F: Future<Output = Result<Routes, StartError>>,
{
    let services = services.into();
    process.readiness.complete();
    let (reporter, health) = tonic_health::server::health_reporter();
    let stop = CancellationToken::new();
    drop(spawn(report_health(reporter, process.clone(), services, stop.clone())));
    let common = Common { services, health, guard: Guard::new(stop.clone(), process.calls), tls: process.tls.clone() };
    if let Some(limits) = process.thread_per_connection() {
        let refusal = if process.tls.is_some() { &[] } else { REFUSAL };
        let thread = move |connections| serve_thread(connections, &factory, &common);
        return threads::serve(listener, &stop, limits, refusal, thread).await;
    }
    let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true));
    let serving = common.server(factory().await?, None)?.serve_with_incoming_shutdown(incoming, stop.cancelled());
    tokio::select! {
        served = serving => served?,
        () = drained(&stop) => tracing::warn!("calls that did not end in time were cut off"),
    }
    Ok(())
}

async fn drained(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// Serves connections one after the other, each with one call at a time, on this thread alone.
fn serve_thread<F>(mut connections: Connections, factory: &impl Fn() -> F, common: &Common<impl Health>) -> Result<(), StartError>
where
    F: Future<Output = Result<Routes, StartError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let routes = factory().await?;
        while let Some((stream, place)) = connections.next().await {
            let _nodelay = stream.set_nodelay(true);
            let (connection, closed) = GrpcConnection::new(stream);
            // the end of the stream would be the end of the connection
            let incoming = stream::once(ready(Ok::<_, Infallible>(connection))).chain(stream::pending());
            let end = end_of(closed, place.clone(), &connections);
            let server = common.at(place).server(routes.clone(), Some(1))?;
            if let Err(error) = server.serve_with_incoming_shutdown(incoming, end).await {
                tracing::debug!(%error, "a connection broke");
            }
        }
        Ok(())
    })
}

/// Completes when a connection should end, once the call that it may be busy with is over. One with a stream that lasts says
/// goodbye at once: further calls of that caller need another connection.
fn end_of(closed: CancellationToken, place: Place, connections: &Connections) -> impl Future<Output = ()> + 'static {
    let (shortage, shutdown) = (Arc::clone(&connections.shortage), connections.shutdown());
    async move {
        tokio::select! {
            () = closed.cancelled() => {}
            () = shutdown.cancelled() => {}
            () = place.stream_began() => {}
            () = shortage.room_is_wanted() => {}
        }
    }
}

/// The inner one first.
type Layers = Stack<Guard, Stack<GrpcServer, Identity>>;

/// What all serving threads have in common.
struct Common<H: Health> {
    services: Services,
    health: HealthServer<H>,
    guard: Guard,
    tls: Option<Tls>,
}

impl<H: Health> Clone for Common<H> {
    fn clone(&self) -> Self {
        Self { services: self.services, health: self.health.clone(), guard: self.guard.clone(), tls: self.tls.clone() }
    }
}

impl<H: Health> Common<H> {
    /// The same, for the connection that has this place.
    fn at(&self, place: Place) -> Self {
        let common = self.clone();
        Self { guard: common.guard.at(place, self.services), ..common }
    }

    /// A server of these routes, with what every server has. `streams` is how many calls a connection may have open.
    fn server(&self, routes: Routes, streams: Option<u32>) -> Result<Router<Layers>, StartError> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let reflection = self.services.reflected().fold(reflection, tonic_reflection::server::Builder::with_service_name).build_v1()?;
        let mut server = Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE)).max_concurrent_streams(streams);
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.of_grpc_server())?;
        }
        let mut server = server.layer(GrpcServer).layer(self.guard.clone());
        Ok(server.add_routes(routes).add_service(self.health.clone()).add_service(reflection))
    }
}

/// Follows readiness until the process stops; then `stop` is cancelled, after the last word has been said.
async fn report_health(reporter: HealthReporter, process: Process, services: Services, stop: CancellationToken) {
    let report = async |status| {
        for name in services.reporting() {
            reporter.set_service_status(name, status).await;
        }
    };
    let follow = async {
        loop {
            let ready = process.readiness.failures().await.is_empty();
            report(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            tokio::time::sleep(HEALTH_INTERVAL).await;
        }
    };
    tokio::select! {
        () = process.shutdown.cancelled() => {}
        () = follow => {}
    }
    report(ServingStatus::NotServing).await;
    stop.cancel();
}
