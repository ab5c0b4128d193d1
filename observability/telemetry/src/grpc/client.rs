//! The caller's side.

use std::{
    pin::Pin,
    task::{Context as Poller, Poll},
};

use http::{Request, Response};
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, SpanKind},
};
use opentelemetry_semantic_conventions::attribute as semconv;
use tonic::Code;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Side, attributes,
    body::{SpanEnd, TracedBody, traced},
    method,
};
use crate::{
    config::Hop,
    context::{HeadersMut, inject},
    setup::forwards,
    span::{Edge, shared},
};

/// Layer for a tonic channel: a client span below the current one, and `traceparent` in the metadata.
#[derive(Debug, Clone)]
pub struct GrpcClient {
    server: Vec<KeyValue>,
}

impl GrpcClient {
    /// `uri` is the callee's, for `server.address` and `server.port`.
    pub fn new(uri: &http::Uri) -> Self {
        let mut server = vec![KeyValue::new(semconv::SERVER_ADDRESS, shared(uri.host().unwrap_or_default()))];
        server.extend(uri.port_u16().map(|port| KeyValue::new(semconv::SERVER_PORT, i64::from(port))));
        Self { server }
    }
}

impl<S> Layer<S> for GrpcClient {
    type Service = GrpcClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcClientService { inner, server: self.server.clone() }
    }
}

/// What [`GrpcClient`] makes of the channel below it.
#[derive(Debug, Clone)]
pub struct GrpcClientService<S> {
    inner: S,
    server: Vec<KeyValue>,
}

impl<S, B, R> Service<Request<B>> for GrpcClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: http_body::Body + Send + 'static,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(poller)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = method(request.uri().path());
        let edge = Edge::start(method.clone(), SpanKind::Client, attributes(&self.server), &Context::current());
        let context = edge.context.clone();
        if forwards(Hop::Grpc) {
            inject(&context, &mut HeadersMut(request.headers_mut()));
        }
        let end = SpanEnd::new(edge, method, Side::Client);
        let call = self.inner.call(request);
        Box::pin(traced(call, end, (Code::Unavailable, "no connection")).with_context(context))
    }
}
