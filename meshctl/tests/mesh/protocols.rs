//! Telemetry of each protocol away from the path of an order: a trace of its own with the right structure, and a metric with
//! the right labels. And that this check sees where there is none.

use meshctl::trace::{Kind, Protocol, SpanFilter, Trace, TraceSource};
use proto::catalog::{GetProductRequest, product_service_client::ProductServiceClient};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tonic::transport::Endpoint;

use crate::{
    conventions::{all_spans, breaches, sees_defects},
    exposition::Exposition,
    running::{Mesh, eventually, json_of, traceparent},
    truth::Truth,
};

type Labels = &'static [(&'static str, &'static str)];

/// What one request must leave behind.
struct Trail {
    protocol: Protocol,
    trace_id: String,
    /// The caller's span, under which the trace begins.
    caller: String,
    path: Vec<SpanFilter>,
    /// Spans that the trace must not have.
    never: Option<SpanFilter>,
    /// Service, sample and labels of what is counted, and its count before.
    counted: (&'static str, &'static str, Labels),
    before: f64,
}

const ADDRESS: (&str, &str) = ("server.address", "127.0.0.1");
const GET_PRODUCT: &str = "throughline.catalog.v1.ProductService/GetProduct";
const LOGIN: &str = "throughline.auth.v1.AuthService/Login";
const REGISTER: &str = "throughline.auth.v1.AuthService/Register";

fn with(filter: SpanFilter, attributes: &[(&str, &str)]) -> SpanFilter {
    attributes.iter().fold(filter, |filter, (key, value)| filter.attribute(key, value))
}

fn http(method: &str, route: &str, status: &str) -> SpanFilter {
    let server = SpanFilter::service("gateway").kind(Kind::Server).protocol(Protocol::Http).name(&format!("{method} {route}"));
    with(server, &[("http.request.method", method), ("http.route", route), ("http.response.status_code", status), ADDRESS])
}

fn grpc(service: &str, kind: Kind, method: &str, code: &str) -> SpanFilter {
    let call = SpanFilter::service(service).kind(kind).protocol(Protocol::Grpc).name(method);
    with(call, &[("rpc.system.name", "grpc"), ("rpc.method", method), ("rpc.response.status_code", code)])
}

fn database(service: &str, protocol: Protocol, name: &str, attributes: &[(&str, &str)]) -> SpanFilter {
    with(SpanFilter::service(service).kind(Kind::Client).protocol(protocol).name(name), attributes)
}

fn kafka(service: &str, kind: Kind, operation: &str, topic: &str) -> SpanFilter {
    let record = SpanFilter::service(service).kind(kind).protocol(Protocol::Kafka).name(&format!("{operation} {topic}"));
    with(record, &[("messaging.system", "kafka"), ("messaging.destination.name", topic), ("messaging.operation.type", operation)])
}

impl Trail {
    async fn new(mesh: &Mesh, protocol: Protocol, path: Vec<SpanFilter>, counted: (&'static str, &'static str, Labels)) -> (Self, String) {
        let (caller, trace_id) = traceparent(true);
        let before = Exposition::of(mesh, counted.0).await.sum(counted.1, counted.2);
        let span = caller.split('-').nth(2).unwrap().to_owned();
        (Self { protocol, trace_id, caller: span, path, never: None, counted, before }, caller)
    }

    /// What its trace lacks.
    fn missing_in(&self, trace: Option<&Trace>) -> Vec<String> {
        let Some(trace) = trace else { return vec![format!("{}: the trace", self.protocol)] };
        let mut lacks = Vec::new();
        match trace.find_path(&self.path) {
            None => lacks.push(format!("{}: {}", self.protocol, self.path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))),
            Some(found) if found[0].parent.as_deref() != Some(self.caller.as_str()) => {
                lacks.push(format!("{}: the caller's span above the first", self.protocol));
            }
            Some(_) => {}
        }
        let strays = trace.orphans().filter(|span| span.parent.as_deref() != Some(self.caller.as_str()));
        lacks.extend(strays.map(|span| format!("{}: the parent of {} {}", self.protocol, span.service, span.name)));
        let unwanted = self.never.iter().flat_map(|never| trace.find(never));
        lacks.extend(unwanted.map(|span| format!("{}: the absence of {} {}", self.protocol, span.service, span.name)));
        lacks
    }

    /// The request has been counted, once; or not at all where nothing is `told`.
    async fn counted(self, mesh: &Mesh, told: bool) -> Self {
        let (service, sample, labels) = self.counted;
        let expected = self.before + f64::from(u8::from(told));
        eventually(|| async {
            let now = Exposition::of(mesh, service).await.sum(sample, labels);
            if (now - expected).abs() < 0.1 { Ok(()) } else { Err(format!("{sample}{labels:?} of {service} is {now} and not {expected}")) }
        })
        .await;
        self
    }
}

/// A product that nobody sells.
async fn over_http(mesh: &Mesh) -> Trail {
    const ROUTE: &str = "/api/v1/products/{product_id}";
    let path = vec![
        http("GET", ROUTE, "404"),
        grpc("gateway", Kind::Client, GET_PRODUCT, "NOT_FOUND").attribute("error.type", "NOT_FOUND"),
        grpc("catalog-cache", Kind::Server, GET_PRODUCT, "NOT_FOUND"),
    ];
    let labels: Labels = &[("http_request_method", "GET"), ("http_route", ROUTE), ("http_response_status_code", "404")];
    let (trail, caller) = Trail::new(mesh, Protocol::Http, path, ("gateway", "http_server_request_duration_seconds_count", labels)).await;
    let url = mesh.url(&format!("/api/v1/products/{}", uuid::Uuid::now_v7()));
    let answer = mesh.client.get(url).header("traceparent", caller).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    trail
}

/// A call past the gateway.
async fn over_grpc(mesh: &Mesh, product: &str) -> Trail {
    let path = vec![grpc("catalog-cache", Kind::Server, GET_PRODUCT, "OK"), database("catalog-cache", Protocol::Redis, "MGET", &[])];
    let labels: Labels =
        &[("rpc_method", "/throughline.catalog.v1.ProductService/GetProduct"), ("rpc_system", "grpc"), ("rpc_grpc_status_code", "0")];
    let counted = ("catalog-cache", "rpc_server_duration_seconds_count", labels);
    let (trail, caller) = Trail::new(mesh, Protocol::Grpc, path, counted).await;
    let address = mesh.service("catalog-cache")["grpc"].as_str().unwrap().to_owned();
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut request = tonic::Request::new(GetProductRequest { product_id: product.into() });
    request.metadata_mut().insert("traceparent", caller.parse().unwrap());
    ProductServiceClient::new(channel).get_product(request).await.unwrap();
    trail
}

/// An account that is there already.
async fn over_sql(mesh: &Mesh) -> Trail {
    let insert = [
        ("db.system.name", "postgresql"),
        ("db.namespace", "throughline"),
        ("db.operation.name", "INSERT"),
        ("db.collection.name", "auth.users"),
        ADDRESS,
    ];
    let path = vec![
        http("POST", "/api/v1/auth/register", "409"),
        grpc("gateway", Kind::Client, REGISTER, "ALREADY_EXISTS"),
        grpc("auth", Kind::Server, REGISTER, "ALREADY_EXISTS"),
        database("auth", Protocol::Sql, "INSERT auth.users", &insert).attribute("error.type", "UniqueViolation"),
    ];
    let labels: Labels = &[("db_operation_name", "INSERT"), ("db_system_name", "postgresql")];
    let (trail, caller) = Trail::new(mesh, Protocol::Sql, path, ("auth", "db_client_operation_duration_seconds_count", labels)).await;
    let account = json!({ "username": "demo-again", "email": mesh.demo().0, "password": "a long enough password" });
    let request = mesh.client.post(mesh.url("/api/v1/auth/register")).json(&account).header("traceparent", caller);
    json_of(request.send().await.unwrap(), StatusCode::CONFLICT).await;
    trail
}

/// A product that is in the cache: Postgres is not asked.
async fn over_redis(mesh: &Mesh, product: &str) -> Trail {
    let get = [("db.system.name", "redis"), ("db.operation.name", "MGET"), ADDRESS];
    let path = vec![
        http("GET", "/api/v1/products/{product_id}", "200"),
        grpc("gateway", Kind::Client, GET_PRODUCT, "OK"),
        grpc("catalog-cache", Kind::Server, GET_PRODUCT, "OK"),
        database("catalog-cache", Protocol::Redis, "MGET", &get),
    ];
    let labels: Labels = &[("db_operation_name", "MGET"), ("db_system_name", "redis")];
    let counted = ("catalog-cache", "db_client_operation_duration_seconds_count", labels);
    let (mut trail, caller) = Trail::new(mesh, Protocol::Redis, path, counted).await;
    trail.never = Some(SpanFilter::service("catalog-cache").protocol(Protocol::Sql));
    let request = mesh.client.get(mesh.url(&format!("/api/v1/products/{product}"))).header("traceparent", caller);
    json_of(request.send().await.unwrap(), StatusCode::OK).await;
    trail
}

/// What a login tells the consumers.
async fn over_kafka(mesh: &Mesh) -> Trail {
    let path = vec![
        http("POST", "/api/v1/auth/login", "200"),
        grpc("gateway", Kind::Client, LOGIN, "OK"),
        grpc("auth", Kind::Server, LOGIN, "OK"),
        kafka("auth", Kind::Producer, "send", "user-events"),
        kafka("analytics", Kind::Consumer, "process", "user-events").attribute("messaging.consumer.group.name", "analytics"),
        database("analytics", Protocol::Sql, "INSERT events.daily_users", &[]),
    ];
    let labels: Labels = &[("messaging_system", "kafka"), ("messaging_destination_name", "user-events")];
    let counted = ("analytics", "messaging_process_duration_seconds_count", labels);
    let (trail, caller) = Trail::new(mesh, Protocol::Kafka, path, counted).await;
    let (email, password) = mesh.demo();
    let login = json!({ "email": email, "password": password });
    let request = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&login).header("traceparent", caller);
    json_of(request.send().await.unwrap(), StatusCode::OK).await;
    trail
}

/// One request for each protocol. Each is over, effects and count included, before the next begins.
async fn all_protocols(mesh: &Mesh, told: bool) -> Vec<Trail> {
    let truth = Truth::of(mesh).await;
    let product = mesh.products(1).await.remove(0);
    // in the cache from now on
    json_of(mesh.client.get(mesh.url(&format!("/api/v1/products/{product}"))).send().await.unwrap(), StatusCode::OK).await;
    truth.settled(mesh).await;
    let logins = "SELECT coalesce(sum(logins), 0) FROM events.daily_users";
    let before = truth.number(logins).await;
    let http = over_http(mesh).await.counted(mesh, told).await;
    let sql = over_sql(mesh).await.counted(mesh, told).await;
    let redis = over_redis(mesh, &product).await.counted(mesh, told).await;
    let kafka = over_kafka(mesh).await;
    eventually(|| async { if truth.number(logins).await > before { Ok(()) } else { Err("no consumer counts the login".to_owned()) } })
        .await;
    let kafka = kafka.counted(mesh, told).await;
    let grpc = over_grpc(mesh, &product).await.counted(mesh, told).await;
    vec![http, sql, redis, kafka, grpc]
}

/// What the trace of each lacks.
async fn traces(mesh: &Mesh, trails: &[Trail]) -> Vec<Vec<String>> {
    let source = TraceSource::new(&mesh.endpoint("traces")).unwrap();
    let mut lacks = Vec::new();
    for trail in trails {
        lacks.push(trail.missing_in(source.trace(trail.trace_id.parse().unwrap()).await.unwrap().as_ref()));
    }
    lacks
}

/// What makes spans of other shapes: refusals, inventions, and a neighbour that is gone.
async fn misbehave(mesh: &Mesh) {
    let token = mesh.token().await;
    let ask = async |method: &str, path: &str, expected: u16| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = mesh.client.request(method, mesh.url(path)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{path}");
    };
    ask("GET", "/api/v1/orders?limit=2", 200).await;
    ask("GET", "/api/v1/orders/not-an-id", 422).await;
    ask("GET", &format!("/api/v1/orders/{}", uuid::Uuid::now_v7()), 404).await;
    ask("POST", "/api/v1/orders", 415).await;
    ask("GET", "/nowhere", 404).await;
    ask("BREW", "/api/v1/orders", 405).await;
    ask("BREW", "/nowhere", 404).await;
    assert_eq!(mesh.place("no.such.token", &[], &[]).await.status(), StatusCode::UNAUTHORIZED);
    let address = mesh.service("orders")["grpc"].as_str().unwrap().to_owned();
    let channel = Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let origin = format!("{address}/invented").parse().unwrap();
    let refusal = ProductServiceClient::with_origin(channel, origin).get_product(GetProductRequest::default()).await.unwrap_err();
    assert_eq!(refusal.code(), tonic::Code::Unimplemented);
    // Redis away: commands fail, Postgres is asked
    mesh.meshctl(&["stop", "redis"]);
    ask("GET", &format!("/api/v1/products/{}", uuid::Uuid::now_v7()), 404).await;
    mesh.meshctl(&["start", "redis"]);
    mesh.meshctl(&["stop", "catalog-cache"]);
    ask("GET", "/api/v1/products", 503).await;
    mesh.meshctl(&["start", "catalog-cache"]);
}

/// Services that have ended have told all that they had to tell.
fn stop_services(mesh: &Mesh) {
    mesh.meshctl(&["stop", "gateway", "orders", "auth", "catalog-cache", "dispatch", "notification", "analytics"]);
}

#[tokio::test]
async fn each_protocol_leaves_its_trace_and_its_count_and_every_span_keeps_to_the_conventions() {
    let mesh = Mesh::start(&[]);
    let trails = all_protocols(&mesh, true).await;
    eventually(|| async {
        let lacks = traces(&mesh, &trails).await.concat();
        if lacks.is_empty() { Ok(()) } else { Err(lacks.join("\n")) }
    })
    .await;

    misbehave(&mesh).await;
    stop_services(&mesh);
    let spans = all_spans(&mesh).await;
    let wrong: Vec<String> = spans
        .iter()
        .flat_map(|span| breaches(span).into_iter().map(|what| format!("{} {:?} {}: {what}", span.service, span.kind, span.name)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} spans:\n{}", wrong.len(), spans.len(), wrong.join("\n"));
    sees_defects(spans.iter().find(|span| span.protocol() == Some(Protocol::Sql) && !span.failed()).unwrap());
    // what was to be among them
    for filter in [
        SpanFilter::service("gateway").name("HTTP /api/v1/orders").attribute("http.request.method_original", "BREW"),
        SpanFilter::service("gateway").name("HTTP").attribute("http.request.method", "_OTHER"),
        SpanFilter::service("gateway").name("GET /api/v1/orders").attribute("url.query", "limit=2"),
        SpanFilter::service("orders")
            .name("_OTHER")
            .attribute("rpc.method_original", "invented/throughline.catalog.v1.ProductService/GetProduct"),
        SpanFilter::service("gateway").kind(Kind::Client).attribute("error.type", "UNAVAILABLE"),
        SpanFilter::service("notification").kind(Kind::Consumer),
    ] {
        assert!(spans.iter().any(|span| filter.matches(span)), "no span is {filter}");
    }
}

#[tokio::test]
async fn telemetry_that_is_missing_is_missed() {
    let mesh = Mesh::start_with(&["--telemetry", "off"], &[]);
    let trails = all_protocols(&mesh, false).await;
    stop_services(&mesh);
    let lacks = traces(&mesh, &trails).await;
    let unmissed: Vec<_> = trails.iter().zip(&lacks).filter(|(_, lacks)| lacks.is_empty()).map(|(trail, _)| trail.protocol).collect();
    assert!(unmissed.is_empty(), "nothing is missed of {unmissed:?}, though nothing was told");
}
