//! A gRPC service whose handlers the test writes: text in, text out.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use chassis::{
    Process, StartError,
    grpc::{self, Channel, Services},
    runtime::{Model, RuntimeConfig},
};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::uri::PathAndQuery;
use telemetry::Mode;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, Streaming, body::Body, server::NamedService, service::Routes};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

type Answers = BoxStream<'static, Result<String, Status>>;
type Handler = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Answers, Status>> + Send + Sync>;

/// Answers any method: those called `Watch...` with a stream, the rest with one text.
#[derive(Clone)]
pub(crate) struct Probe(Handler);

impl Probe {
    /// One answer to a request.
    pub(crate) fn answering<F>(handler: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, Status>> + Send + 'static,
    {
        Self(Arc::new(move |text| {
            let answer = handler(text);
            async move { Ok(stream::iter([Ok(answer.await?)]).boxed()) }.boxed()
        }))
    }

    /// Many answers to a request.
    pub(crate) fn streaming(handler: impl Fn(String) -> Answers + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |text| {
            let answers = handler(text);
            async move { Ok(answers) }.boxed()
        }))
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = Arc::clone(&self.0);
        let mut server = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        async move {
            let streams = request.uri().path().contains("/Watch");
            Ok(if streams {
                let many = service_fn(|request: Request<String>| {
                    let answers = handler(request.into_inner());
                    async move { Ok::<_, Status>(Response::new(answers.await?)) }
                });
                server.server_streaming(many, request).await
            } else {
                let one = service_fn(|request: Request<String>| {
                    let answers = handler(request.into_inner());
                    async move { Ok::<_, Status>(Response::new(answers.await?.next().await.unwrap()?)) }
                });
                server.unary(one, request).await
            })
        }
        .boxed()
    }
}

/// A server that runs until its process is told to stop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    pub(crate) serving: JoinHandle<Result<(), StartError>>,
}

impl Server {
    pub(crate) fn start(process: Process, probe: Probe) -> Self {
        let listener = chassis::listen("server.address", ([127, 0, 0, 1], 0).into()).unwrap();
        Self::start_on(listener, process, probe)
    }

    pub(crate) fn start_on(listener: std::net::TcpListener, process: Process, probe: Probe) -> Self {
        let address = listener.local_addr().unwrap();
        let own = process.clone();
        let serving = chassis::spawn(async move {
            let factory = move || {
                let probe = probe.clone();
                async move { Ok(Routes::new(probe)) }
            };
            grpc::serve(listener, &own, Services::new(&[Probe::NAME]).with_streams(&[WATCH]), factory).await
        });
        Self { address, process, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn channel(&self) -> Channel {
        grpc::channel(&self.url()).unwrap()
    }
}

/// In both ways in which connections are served.
pub(crate) const MODELS: [Model; 2] = [Model::Shared, Model::ThreadPerConnection];

pub(crate) fn process(model: Model) -> Process {
    Process::new(RuntimeConfig { model, ..RuntimeConfig::default() }, Mode::Off)
}

/// The same, with a thread for each connection, of which there are so many, and for each stream.
pub(crate) fn of_threads(threads: usize, max_streams: usize) -> Process {
    let runtime = RuntimeConfig { model: Model::ThreadPerConnection, threads, max_streams, ..RuntimeConfig::default() };
    Process::new(runtime, Mode::Off)
}

/// Calls a method of [`Probe`].
pub(crate) async fn ask(channel: Channel, method: &'static str, request: Request<String>) -> Result<Response<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(format!("not ready: {error:?}")))?;
    client.unary(request, PathAndQuery::from_static(method), ProstCodec::default()).await
}

/// Calls a method of [`Probe`] whose answer is a stream.
pub(crate) async fn watch(channel: Channel, text: &str) -> Result<Streaming<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(format!("not ready: {error:?}")))?;
    let (path, request) = (PathAndQuery::from_static(WATCH), Request::new(text.to_owned()));
    Ok(client.server_streaming(request, path, ProstCodec::default()).await?.into_inner())
}

pub(crate) const ASK: &str = "/test.Probe/Ask";
/// A stream that lasts.
const WATCH: &str = "/test.Probe/Watch";

/// Something that goes on in a handler: how much of it there is now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work {
    running: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

impl Work {
    /// Begins a piece, which ends when what is returned is dropped.
    pub(crate) fn begin(&self) -> Piece {
        self.running.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        Piece(self.clone())
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// A handler that works until it is dropped.
    pub(crate) fn endless(&self) -> Probe {
        let work = self.clone();
        Probe::answering(move |_| {
            let piece = work.begin();
            async move {
                let _piece = piece;
                std::future::pending().await
            }
        })
    }
}

pub(crate) struct Piece(Work);

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
