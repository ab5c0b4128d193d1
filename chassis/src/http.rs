//! HTTP servers, on actix-web.

mod activity;
mod connection;
mod door;
mod unreadable;

use std::{
    fmt::Debug,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use activity::{Activity, Busy, BusyBody};
use actix_http::{ConnectionType, HttpService, Protocol, Request, Response, error::DispatchError};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config};
use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{AppConfig, Service, ServiceFactory},
};
use connection::HttpConnection;
use door::Door;
use futures::{FutureExt, future::LocalBoxFuture};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::{
    Process, StartError,
    threads::{self, Connections, DRAIN, Place},
};

pub use crate::threads::StreamsFull;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a caller may take to hang up after it was told to.
const GOODBYE: Duration = Duration::from_secs(1);
/// What a connection is told for which there is no thread.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
    connection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"all connections are taken: try again, or use fewer\"}";

/// Serves until the process stops, then drains: HTTP/1.1 and, unless each connection has a thread, HTTP/2, by ALPN with
/// TLS and by prior knowledge without. `factory` is run once on each serving thread and makes that thread's application
/// together with its clients.
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
    process.readiness.complete();
    let (stop, tls) = (process.shutdown.clone(), process.tls.clone());
    let (address, secure, stopping) = (listener.local_addr()?, tls.is_some(), stop.clone());
    let application = move || application(factory(), config(secure, address), stopping.clone());
    if let Some(limits) = process.thread_per_connection() {
        let door = Door::for_threads(tls.as_ref());
        let refusal = if secure { &[] } else { REFUSAL };
        return threads::serve(listener, &stop, limits, refusal, move |connections| serve_thread(connections, &application, &door)).await;
    }
    let (door, stopping) = (Door::new(tls.as_ref()), stop.clone());
    Server::build()
        .shutdown_signal(stop.cancelled_owned())
        .shutdown_timeout(DRAIN.as_secs())
        .listen("http", listener, move || serve_worker(application(), door.clone(), stopping.clone()))?
        .run()
        .await?;
    Ok(())
}

/// Says that the answer to this request will last, as server-sent events do: to be called before it begins. Where each
/// connection has a thread, this one then counts against `runtime.max_streams`, no longer against `runtime.threads`, and
/// ends with the answer. In any case it ends when the client hangs up.
///
/// # Errors
/// [`StreamsFull`]: answer with 503.
pub fn begin_stream(request: &HttpRequest) -> Result<(), StreamsFull> {
    request.conn_data::<Rc<Activity>>().map_or(Ok(()), |activity| activity.begin_stream())
}

/// What the application is told of its port.
fn config(secure: bool, address: SocketAddr) -> AppConfig {
    // the only constructor that there is beside the default, which is not secure
    AppConfig::__priv_test_new(secure, address.to_string(), address)
}

/// A connection whose protocol is known, and its caller.
type Opened = (HttpConnection, Protocol, Option<SocketAddr>);

/// The application as what serves one connection after the other.
fn application<I, S, B>(
    app: I,
    config: AppConfig,
    stop: CancellationToken,
) -> impl ServiceFactory<Opened, Config = (), Response = (), Error = DispatchError, InitError = ()> + 'static
where
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let app = map_config(app.into_factory(), move |()| config.clone()).map_err(Into::into);
    let watched = actix_service::apply_fn_factory(app, move |request: Request, app: &_| {
        let (busy, stop) = (request.conn_data().map(Activity::begin), stop.clone());
        let answer = Service::call(app, request);
        async move {
            let mut response: Response<B> = answer.await?.into();
            if let Some(busy) = &busy {
                busy.answers(response.status(), response.body().size());
            }
            if stop.is_cancelled() || busy.as_ref().is_some_and(Busy::is_last) {
                response.head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok::<_, Error>(response.map_body(|_, body| BusyBody::new(body, busy, stop)))
        }
    });
    HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_disconnect_timeout(GOODBYE)
        .on_connect_ext(|connection: &HttpConnection, data| drop(data.insert(connection.activity())))
        .finish(watched)
}

/// Serves many connections at a time, on one of the threads that all share.
fn serve_worker<A>(
    application: A,
    door: Door,
    stop: CancellationToken,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()>
where
    A: ServiceFactory<Opened, Config = (), Response = (), Error = DispatchError, InitError = ()> + 'static,
{
    let application = Rc::new(application);
    fn_factory(move || {
        // a lock of the worker's own
        let (application, door, stop) = (Rc::clone(&application), door.clone(), stop.child_token());
        async move {
            let service = Rc::new(application.new_service(()).await?);
            Ok(fn_service(move |stream: TcpStream| {
                let (service, door, stop) = (Rc::clone(&service), door.clone(), stop.clone());
                let leave = stop.clone().cancelled_owned().boxed_local();
                async move {
                    serve_connection(&*service, &door, (stream, None), &stop, leave).await;
                    Ok(())
                }
            }))
        }
    })
}

/// Serves connections one after the other, on this thread alone, over HTTP/1.1.
fn serve_thread<A>(mut connections: Connections, application: &impl Fn() -> A, door: &Door) -> Result<(), StartError>
where
    A: ServiceFactory<Opened, Config = (), Response = (), Error = DispatchError, InitError = ()>,
{
    actix_web::rt::Runtime::new()?.block_on(async move {
        let service = application().new_service(()).await.map_err(|()| "the application cannot be made")?;
        while let Some((stream, place)) = connections.next().await {
            let (shortage, stop) = (Arc::clone(&connections.shortage), connections.shutdown());
            let stopping = stop.clone();
            let leave = async move {
                tokio::select! {
                    () = shortage.room_is_wanted() => {}
                    () = stopping.cancelled() => {}
                }
            };
            serve_connection(&service, door, (stream, Some(place)), &stop, leave.boxed_local()).await;
        }
        Ok(())
    })
}

/// Serves one connection until it ends, which it does by itself when it is idle and `leave` is complete.
async fn serve_connection<S>(
    service: &S,
    door: &Door,
    (stream, place): (TcpStream, Option<Place>),
    stop: &CancellationToken,
    leave: LocalBoxFuture<'static, ()>,
) where
    S: Service<Opened, Response = (), Error = DispatchError>,
{
    let peer = stream.peer_addr().ok();
    let served = match door.open(stream, stop).await {
        Ok((stream, protocol)) => {
            let connection = HttpConnection::new(stream, protocol, leave, place);
            service.call((connection, protocol, peer)).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection broke");
    }
}
