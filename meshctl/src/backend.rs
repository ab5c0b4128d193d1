//! The local trace backend: takes OTLP, keeps the newest traces in memory, and answers Jaeger's and Tempo's query APIs
//! with Jaeger's page in front.
//!
//! It is what `mesh up` runs where no Tempo is. Nothing is written to disk; what the bound on memory drops is counted.

pub mod byte_size;
pub mod id;
pub mod otlp;
pub mod store;

mod jaeger;
mod metrics;
mod names;
mod otlp_http;
mod page;
mod query;
mod raw;
mod record;
mod tempo;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::FutureExt as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tonic::transport::server::TcpIncoming;

use self::store::Store;
pub use self::{byte_size::ByteSize, names::Operation};

/// The smallest bound that holds a trace of an order with room to spare.
const MIN_BYTES: u64 = 64 * 1024;
/// How long connections may finish what they are doing once the backend stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Where the backend listens and how much it keeps.
#[derive(Debug, Clone, Args)]
pub struct BackendArgs {
    /// Address of the page, the query APIs, health and metrics
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:16686")]
    pub page_address: SocketAddr,
    /// Address of the OTLP/gRPC receiver
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4317")]
    pub otlp_grpc: SocketAddr,
    /// Address of the OTLP/HTTP receiver
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4318")]
    pub otlp_http: SocketAddr,
    /// Memory for traces, in bytes or with KiB, MiB or GiB; the oldest trace goes first
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub max_bytes: ByteSize,
}

/// Runs the backend until SIGTERM or SIGINT. Fails where a port is taken, and where a listener breaks.
pub async fn run(args: BackendArgs) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut backend = Backend::start(args).await?;
    eprintln!("page and query APIs  http://{}", backend.page_address);
    eprintln!("OTLP/gRPC            http://{}", backend.otlp_grpc);
    eprintln!("OTLP/HTTP            http://{}/v1/traces", backend.otlp_http);
    let broken = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        broken = backend.broken() => broken,
    };
    backend.shutdown().await;
    broken
}

/// Makes a [`RunningBackend`].
#[derive(Debug, Clone, Copy)]
pub struct Backend;

impl Backend {
    /// Binds the three listeners (port 0 picks a free one) and serves in the background.
    ///
    /// Errors name the address that is taken and the option which moves it.
    pub async fn start(args: BackendArgs) -> anyhow::Result<RunningBackend> {
        if args.max_bytes.0 < MIN_BYTES {
            bail!("--max-bytes {}: at least {} are needed", args.max_bytes, ByteSize(MIN_BYTES));
        }
        let page = bind(args.page_address, "--page-address").await?;
        let grpc = bind(args.otlp_grpc, "--otlp-grpc").await?;
        let http = bind(args.otlp_http, "--otlp-http").await?;
        let store = Arc::new(Store::new(args.max_bytes));
        let ready = Arc::new(AtomicBool::new(true));
        let (stop, stopped) = watch::channel(false);
        let addresses = (page.local_addr()?, grpc.local_addr()?, http.local_addr()?);

        let mut servers = JoinSet::new();
        let pages = page::router(&store, Arc::clone(&ready));
        servers.spawn(serve_http(page, pages, stopped.clone()));
        servers.spawn(serve_http(http, otlp_http::router(Arc::clone(&store)), stopped.clone()));
        let receiver = tonic::transport::Server::builder().add_service(otlp::service(Arc::clone(&store)));
        let incoming = TcpIncoming::from(grpc).with_nodelay(Some(true));
        servers.spawn(
            receiver
                .serve_with_incoming_shutdown(incoming, until_stopped(stopped))
                .map(|served| served.context("the OTLP/gRPC receiver stopped")),
        );
        let (page_address, otlp_grpc, otlp_http) = addresses;
        Ok(RunningBackend { page_address, otlp_grpc, otlp_http, store, ready, stop, servers })
    }
}

/// A serving backend; it ends when dropped.
#[derive(Debug)]
pub struct RunningBackend {
    /// The page, `/api`, `/tempo`, `/livez`, `/readyz` and `/metrics`.
    pub page_address: SocketAddr,
    /// The OTLP/gRPC receiver.
    pub otlp_grpc: SocketAddr,
    /// The OTLP/HTTP receiver.
    pub otlp_http: SocketAddr,
    /// What has been received.
    pub store: Arc<Store>,
    ready: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    servers: JoinSet<anyhow::Result<()>>,
}

impl RunningBackend {
    /// Waits for a listener to break, which none does by itself.
    pub async fn broken(&mut self) -> anyhow::Result<()> {
        match self.servers.join_next().await {
            Some(ended) => ended.context("a listener of the trace backend panicked")?,
            None => Ok(()),
        }
    }

    /// Stops accepting, and gives open connections up to three seconds to finish.
    pub async fn shutdown(mut self) {
        self.ready.store(false, Ordering::Release);
        self.stop.send_replace(true);
        let drained = timeout(DRAIN, async { while self.servers.join_next().await.is_some() {} });
        if drained.await.is_err() {
            self.servers.shutdown().await;
        }
    }
}

async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("the trace backend cannot listen on {address}: stop what listens there, or choose another by {option}"))
}

async fn serve_http(listener: TcpListener, router: axum::Router, stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    let served = axum::serve(listener, router).with_graceful_shutdown(until_stopped(stopped));
    served.await.context("an HTTP listener of the trace backend stopped")
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // an error means that the sender is gone, and with it the backend
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
