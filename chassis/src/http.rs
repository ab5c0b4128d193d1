//! HTTP servers, on actix-web.

use std::{fmt::Debug, net::TcpListener};

use actix_http::{Request, Response};
use actix_service::IntoServiceFactory;
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Service, ServiceFactory},
};

use crate::{Process, StartError};

/// Seconds in which open requests may end after a stop.
const DRAIN_SECONDS: u64 = 10;

/// Serves until the process stops, then drains. `factory` is run once on each serving thread and makes that thread's
/// application together with its clients.
///
/// # Errors
/// The operating system's, where a thread cannot be started.
pub async fn serve<F, I, S, B>(listener: TcpListener, process: &Process, factory: F) -> Result<(), StartError>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
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
