//! Connections to other services.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Uri, uri::Scheme};
use telemetry::grpc::{GrpcClient, GrpcClientService};
use tonic::{body::Body, transport::Endpoint};
use tower_layer::Layer;
use tower_service::Service;

use super::{KEEP_ALIVE, forgetful::Forgetful, retry::Budget};
use crate::{StartError, scenario::Scenarios, tls::Tls};

type Inner = GrpcClientService<Forgetful<tonic::transport::Channel>>;

/// A connection to another service that is opened when first used, opened again when broken, and carries the trace on.
/// Cheap to clone; clones share the connection and the budget of [repeated](Channel::idempotent) calls.
#[derive(Debug, Clone)]
pub struct Channel {
    inner: Inner,
    pub(super) budget: Arc<Budget>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// A channel to `uri`, without TLS. A service takes [`Process::channel`](crate::Process::channel), which heeds its settings.
///
/// # Errors
/// Where `uri` is none.
pub fn channel(uri: &str) -> Result<Channel, StartError> {
    open(uri, None, &Scenarios::default())
}

/// A channel to `uri`; where there is `tls` it is used, whatever the scheme.
pub(crate) fn open(uri: &str, tls: Option<&Tls>, scenarios: &Scenarios) -> Result<Channel, StartError> {
    let mut uri: Uri = uri.parse().map_err(|error| format!("{uri:?} is no URI: {error}"))?;
    let is_https = uri.scheme() == Some(&Scheme::HTTPS);
    if tls.is_some() && !is_https {
        uri = secure(uri)?;
    } else if tls.is_none() && is_https {
        return Err(format!("{uri} needs TLS, and tls.mode is off").into());
    }
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.of_grpc_client().timeout(CONNECT_TIMEOUT))?;
    }
    let inner = GrpcClient::new(endpoint.uri()).layer(Forgetful::new(endpoint.connect_lazy(), scenarios.clone()));
    Ok(Channel { inner, budget: Arc::default() })
}

fn secure(uri: Uri) -> Result<Uri, StartError> {
    let mut parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    Ok(Uri::from_parts(parts)?)
}

impl Service<Request<Body>> for Channel {
    type Response = <Inner as Service<Request<Body>>>::Response;
    type Error = <Inner as Service<Request<Body>>>::Error;
    type Future = <Inner as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, poller: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.inner, poller)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Service::call(&mut self.inner, request)
    }
}
