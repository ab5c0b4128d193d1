//! Server spans for actix-web. <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

use std::{
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method, Version,
        header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    },
};
use opentelemetry::{
    KeyValue,
    propagation::Extractor,
    trace::{FutureExt, SpanKind, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::{context, grpc::OTHER, metrics, span::Edge};

/// Every response names the trace that it belongs to in this header.
pub const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Middleware: continues the caller's trace or starts one, and answers with [`X_TRACE_ID`]. Put it outermost.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpServer;

impl<S, B> Transform<S, ServiceRequest> for HttpServer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type InitError = ();
    type Transform = HttpServerService<S>;
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(HttpServerService { service: Rc::new(service) }))
    }
}

/// What [`HttpServer`] makes of the service below it.
#[derive(Debug)]
pub struct HttpServerService<S> {
    service: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for HttpServerService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let parent = context::extract(&ActixHeaders(request.headers()));
        let method = known(request.method());
        let edge = Edge::start(span_name(method), SpanKind::Server, attributes(&request, method), &parent);
        let context = edge.context.clone();
        let body = body_size(request.headers());
        let call = self.service.call(request);
        Box::pin(
            async move {
                let mut result = call.await;
                if let Ok(response) = &mut result {
                    finish(response, method, body, &edge);
                }
                result
            }
            .with_context(context),
        )
    }
}

fn finish<B>(response: &mut ServiceResponse<B>, method: &'static str, body: u64, edge: &Edge) {
    let status = response.status();
    let route = response.request().match_pattern();
    if let Some(route) = &route {
        edge.rename(format!("{} {route}", span_name(method)));
        edge.set([KeyValue::new(semconv::HTTP_ROUTE, route.clone())]);
    }
    edge.set([KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()))]);
    let ids = edge.context.span().span_context().clone();
    let trace_id = ids.is_valid().then(|| ids.trace_id().to_string());
    if let Some(value) = trace_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(X_TRACE_ID, value);
    }
    metrics::http_server(method, route.as_deref(), status.as_u16(), body, edge.since, &edge.context);
    // a client's mistake is no failure of the server: only 5xx is
    edge.end(status.is_server_error().then(|| (status.as_u16().to_string(), String::new())));
}

/// The methods of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The method, or `_OTHER`: callers can make up methods, and must not make up series or names of spans.
fn known(method: &Method) -> &'static str {
    METHODS.iter().find(|known| **known == method.as_str()).copied().unwrap_or(OTHER)
}

/// What the conventions put for the method into a span's name.
fn span_name(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

/// What the caller says that it sends, in bytes.
fn body_size(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn attributes(request: &ServiceRequest, method: &'static str) -> Vec<KeyValue> {
    let connection = request.connection_info();
    // with room for what is known at the end
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new(semconv::HTTP_REQUEST_METHOD, method),
        KeyValue::new(semconv::URL_PATH, request.path().to_owned()),
        KeyValue::new(semconv::URL_SCHEME, connection.scheme().to_owned()),
        KeyValue::new(semconv::NETWORK_PROTOCOL_VERSION, protocol_version(request.version())),
    ]);
    if method == OTHER {
        attributes.push(KeyValue::new(semconv::HTTP_REQUEST_METHOD_ORIGINAL, request.method().to_string()));
    }
    if !request.query_string().is_empty() {
        attributes.push(KeyValue::new(semconv::URL_QUERY, request.query_string().to_owned()));
    }
    let (host, port) = connection.host().rsplit_once(':').unwrap_or((connection.host(), ""));
    attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()));
    attributes.extend(port.parse().ok().map(|port: i64| KeyValue::new(semconv::SERVER_PORT, port)));
    attributes.extend(request.peer_addr().map(|peer| KeyValue::new(semconv::CLIENT_ADDRESS, peer.ip().to_string())));
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    attributes.extend(agent.map(|agent| KeyValue::new(semconv::USER_AGENT_ORIGINAL, agent.to_owned())));
    attributes
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

struct ActixHeaders<'a>(&'a HeaderMap);

impl Extractor for ActixHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
