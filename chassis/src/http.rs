//! HTTP servers, on actix-web.

mod connection;

use std::{fmt::Debug, net::TcpListener, rc::Rc, time::Duration};

use actix_http::{HttpService, Request, Response};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Service, ServiceFactory},
};
use connection::{Activity, HttpConnection};

use crate::{
    Process, StartError,
    threads::{self, Connections},
};

/// Seconds in which open requests may end after a stop.
const DRAIN_SECONDS: u64 = 10;
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// What a connection is told for which there is no thread.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
    connection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"all connections are taken: try again, or use fewer\"}";

/// Serves until the process stops, then drains. `factory` is run once on each serving thread and makes that thread's
/// application together with its clients.
///
/// # Errors
/// The operating system's, where a thread cannot be started.
pub async fn serve<F, I, S, B>(listener: TcpListener, process: &Process, factory: F) -> Result<(), StartError>
where
    F: Fn() -> I + Send + Sync + Clone + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    if let Some(limits) = process.thread_per_connection() {
        return threads::serve(listener, process, limits, REFUSAL, move |connections| serve_thread(connections, &factory)).await;
    }
    let shutdown = process.shutdown.clone();
    HttpServer::new(factory)
        .disable_signals()
        .shutdown_signal(async move { shutdown.cancelled().await })
        .shutdown_timeout(DRAIN_SECONDS)
        .listen(listener)?
        .run()
        .await?;
    Ok(())
}

/// Serves connections one after the other, on this thread alone, over HTTP/1.1.
fn serve_thread<F, I, S, B>(mut connections: Connections, factory: &F) -> Result<(), StartError>
where
    F: Fn() -> I,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    actix_web::rt::Runtime::new()?.block_on(async move {
        let activity = Rc::new(Activity::default());
        let seen = Rc::clone(&activity);
        let app = map_config(factory().into_factory(), |()| AppConfig::default()).map_err(Into::into);
        let watched = actix_service::apply_fn_factory(app, move |request: Request, app: &_| {
            let busy = Activity::begin(&seen);
            let answer = Service::call(app, request);
            async move {
                let answer = answer.await;
                drop(busy);
                answer
            }
        });
        let service = HttpService::build().keep_alive(KEEP_ALIVE).h1(watched);
        let service = service.new_service(()).await.map_err(|error| format!("the application cannot be made: {error:?}"))?;
        while let Some((stream, peer)) = connections.next().await {
            activity.reset();
            let _nodelay = stream.set_nodelay(true);
            let stream = HttpConnection::new(stream, Rc::clone(&activity), &connections);
            if let Err(error) = service.call((stream, Some(peer))).await {
                tracing::debug!(%error, "a connection broke");
            }
        }
        Ok(())
    })
}
