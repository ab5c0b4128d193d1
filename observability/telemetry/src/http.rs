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
        Version,
        header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    },
};
use opentelemetry::{
    Context, KeyValue,
    propagation::Extractor,
    trace::{FutureExt, SpanKind, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::{context, span};

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
        let method = request.method().to_string();
        let context = span::start(method.clone(), SpanKind::Server, attributes(&request), &parent);
        let call = self.service.call(request);
        Box::pin(
            async move {
                let mut result = call.await;
                if let Ok(response) = &mut result {
                    finish(response, &method);
                }
                result
            }
            .with_context(context),
        )
    }
}

fn finish<B>(response: &mut ServiceResponse<B>, method: &str) {
    let context = Context::current();
    let status = response.status();
    let current = context.span();
    if let Some(route) = response.request().match_pattern() {
        current.update_name(format!("{method} {route}"));
        current.set_attribute(KeyValue::new(semconv::HTTP_ROUTE, route));
    }
    current.set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
    let trace_id = current.span_context().is_valid().then(|| current.span_context().trace_id().to_string());
    if let Some(value) = trace_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(X_TRACE_ID, value);
    }
    // a client's mistake is no failure of the server: only 5xx is
    let error = status.is_server_error().then(|| (status.as_u16().to_string(), String::new()));
    span::end(&context, error);
}

fn attributes(request: &ServiceRequest) -> Vec<KeyValue> {
    let connection = request.connection_info();
    let mut attributes = vec![
        KeyValue::new(semconv::HTTP_REQUEST_METHOD, request.method().to_string()),
        KeyValue::new(semconv::URL_PATH, request.path().to_owned()),
        KeyValue::new(semconv::URL_SCHEME, connection.scheme().to_owned()),
        KeyValue::new(semconv::NETWORK_PROTOCOL_VERSION, protocol_version(request.version())),
    ];
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
