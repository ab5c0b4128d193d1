//! The callee's side.

use std::{
    pin::Pin,
    task::{Context as Poller, Poll},
};

use http::{Request, Response};
use opentelemetry::trace::{FutureExt, SpanKind};
use tonic::Code;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Side, attributes,
    body::{SpanEnd, TracedBody, traced},
    method,
};
use crate::{
    context::{Headers, extract},
    span::Edge,
};

/// Probes and tools' questions about the schema belong to nobody's request.
const UNTRACED: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

/// Layer for a tonic server: continues the trace that the metadata names, or starts one.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcServer;

impl<S> Layer<S> for GrpcServer {
    type Service = GrpcServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcServerService { inner }
    }
}

/// What [`GrpcServer`] makes of the service below it.
#[derive(Debug, Clone)]
pub struct GrpcServerService<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for GrpcServerService<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if UNTRACED.iter().any(|prefix| path.starts_with(prefix)) {
            let call = self.inner.call(request);
            return Box::pin(async move { Ok(call.await?.map(|body| TracedBody::new(body, None))) });
        }
        let method = method(path);
        let attributes = attributes(&[]);
        let edge = Edge::start(method.clone(), SpanKind::Server, attributes, &extract(&Headers(request.headers())));
        let context = edge.context.clone();
        let end = SpanEnd::new(edge, method, Side::Server);
        let call = self.inner.call(request);
        Box::pin(traced(call, end, (Code::Internal, "the service gave no response")).with_context(context))
    }
}
