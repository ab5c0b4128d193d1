//! Promise B: one order is one trace with every protocol in it, each span under the one that caused it.

use meshctl::trace::{Kind, Protocol, SpanFilter, Trace};
use reqwest::StatusCode;

use crate::running::{Mesh, header, json_of, traceparent};

fn http_server(route: &str) -> SpanFilter {
    SpanFilter::service("gateway").kind(Kind::Server).protocol(Protocol::Http).name(&format!("POST {route}")).attribute("http.route", route)
}

fn grpc(service: &str, kind: Kind, method: &str) -> SpanFilter {
    SpanFilter::service(service).kind(kind).name(method).attribute("rpc.method", method).attribute("rpc.response.status_code", "OK")
}

fn redis(service: &str, command: &str) -> SpanFilter {
    SpanFilter::service(service).kind(Kind::Client).protocol(Protocol::Redis).attribute("db.operation.name", command)
}

fn sql(service: &str, summary: &str) -> SpanFilter {
    SpanFilter::service(service).kind(Kind::Client).protocol(Protocol::Sql).attribute("db.query.summary", summary)
}

fn kafka(service: &str, operation: &str, topic: &str) -> SpanFilter {
    let kind = if operation == "send" { Kind::Producer } else { Kind::Consumer };
    SpanFilter::service(service).kind(kind).name(&format!("{operation} {topic}")).attribute("messaging.destination.name", topic)
}

const VALIDATE: &str = "throughline.auth.v1.AuthService/ValidateToken";
const PLACE: &str = "throughline.orders.v1.OrderService/PlaceOrder";
const PRODUCTS: &str = "throughline.catalog.v1.ProductService/BatchGetProducts";
const PLACE_SQL: &str = "SELECT orders.stock UPDATE orders.stock INSERT orders.customers SELECT orders.customers \
    INSERT orders.orders INSERT orders.order_items INSERT orders.outbox";

/// Paths of direct parent → child edges that the trace of an order has.
pub(crate) fn order_paths() -> Vec<Vec<SpanFilter>> {
    let door = || http_server("/api/v1/orders");
    let placing = || vec![door(), grpc("gateway", Kind::Client, PLACE), grpc("orders", Kind::Server, PLACE)];
    let with = |mut path: Vec<SpanFilter>, more: Vec<SpanFilter>| {
        path.extend(more);
        path
    };
    let dispatched = || with(placing(), vec![kafka("orders", "send", "orders.created"), kafka("dispatch", "process", "orders.created")]);
    let noticed =
        || with(dispatched(), vec![kafka("dispatch", "send", "notifications"), kafka("notification", "process", "notifications")]);
    let counted = || with(dispatched(), vec![kafka("dispatch", "send", "analytics"), kafka("analytics", "process", "analytics")]);
    vec![
        vec![door(), grpc("gateway", Kind::Client, VALIDATE), grpc("auth", Kind::Server, VALIDATE), redis("auth", "GET")],
        with(
            placing(),
            vec![grpc("orders", Kind::Client, PRODUCTS), grpc("catalog-cache", Kind::Server, PRODUCTS), redis("catalog-cache", "MGET")],
        ),
        with(placing(), vec![sql("orders", PLACE_SQL)]),
        with(noticed(), vec![sql("notification", "INSERT events.processed_events")]),
        with(noticed(), vec![sql("notification", "INSERT events.mail_outbox")]),
        with(noticed(), vec![sql("notification", "COMMIT")]),
        with(counted(), vec![sql("analytics", "INSERT events.product_sales")]),
        with(counted(), vec![redis("analytics", "ZADD")]),
        with(counted(), vec![sql("analytics", "INSERT events.daily_orders")]),
        with(counted(), vec![sql("analytics", "COMMIT")]),
    ]
}

fn login_paths() -> Vec<Vec<SpanFilter>> {
    const LOGIN: &str = "throughline.auth.v1.AuthService/Login";
    let auth = || vec![http_server("/api/v1/auth/login"), grpc("gateway", Kind::Client, LOGIN), grpc("auth", Kind::Server, LOGIN)];
    let with = |more: Vec<SpanFilter>| auth().into_iter().chain(more).collect::<Vec<_>>();
    let told = || vec![kafka("auth", "send", "user-events"), kafka("analytics", "process", "user-events")];
    vec![
        with(vec![sql("auth", "SELECT auth.users")]),
        with(vec![redis("auth", "SETEX")]),
        with(vec![sql("auth", "INSERT auth.outbox")]),
        with(told().into_iter().chain([sql("analytics", "INSERT events.daily_users")]).collect()),
    ]
}

/// What a trace lacks: paths, a single id, parents. `entry` is the caller's own span, if it sent one.
pub(crate) fn missing(trace: &Trace, paths: &[Vec<SpanFilter>], entry: Option<&str>) -> Vec<String> {
    let mut lacks: Vec<String> = paths
        .iter()
        .filter(|path| trace.find_path(path).is_none())
        .map(|path| path.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  → "))
        .collect();
    let orphans = trace.orphans().filter(|span| span.parent.as_deref() != entry);
    lacks.extend(orphans.map(|span| format!("the parent of {} {}", span.service, span.name)));
    let roots = trace.roots().count();
    if roots != usize::from(entry.is_none()) {
        lacks.push(format!("one root: it has {roots}"));
    }
    lacks
}

#[tokio::test]
async fn one_order_and_one_login_are_one_trace_each() {
    let mesh = Mesh::start(&[]);
    let (email, password) = mesh.demo();
    let login = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&serde_json::json!({ "email": email, "password": password }));
    let login = login.send().await.unwrap();
    let login_trace = header(&login, "x-trace-id");
    let token = json_of(login, StatusCode::OK).await["access_token"].as_str().unwrap().to_owned();
    let products = mesh.products(3).await;
    let order = mesh.place(&token, &products, &[]).await;
    assert_eq!(order.status(), StatusCode::CREATED);

    let paths = order_paths();
    let trace = mesh.trace(&header(&order, "x-trace-id"), |trace| missing(trace, &paths, None)).await;
    let spoken: Vec<String> = trace.protocols().iter().map(ToString::to_string).collect();
    assert_eq!(spoken, ["HTTP", "gRPC", "SQL", "Redis", "Kafka"]);
    for consumer in trace.find(&SpanFilter::any().kind(Kind::Consumer)) {
        assert_eq!(Some(&consumer.links[0].span), consumer.parent.as_ref(), "{} has a link to its sender too", consumer.name);
        assert!(consumer.text("messaging.kafka.offset").is_some());
    }
    for statement in trace.find(&SpanFilter::any().protocol(Protocol::Sql)) {
        let text = statement.text("db.query.text").unwrap();
        assert!(!text.contains(&email) && !text.contains("binds"), "bind values stay out of {text}");
    }
    mesh.trace(&login_trace, |trace| missing(trace, &login_paths(), None)).await;
}

#[tokio::test]
async fn a_callers_own_trace_is_continued_and_its_sampling_respected() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let products = mesh.products(2).await;

    let (unsampled, silent_id) = traceparent(false);
    let silent = mesh.place(&token, &products, &[("traceparent", &unsampled)]).await;
    assert_eq!((silent.status(), header(&silent, "x-trace-id")), (StatusCode::CREATED, silent_id.clone()));

    let (sampled, trace_id) = traceparent(true);
    let order = mesh.place(&token, &products, &[("traceparent", &sampled), ("tracestate", "vendor=value")]).await;
    assert_eq!((order.status(), header(&order, "x-trace-id")), (StatusCode::CREATED, trace_id.clone()));
    let entry = sampled.split('-').nth(2).unwrap();
    let paths = order_paths();
    mesh.trace(&trace_id, |trace| missing(trace, &paths, Some(entry))).await;

    // the later order's whole trace is there, so the earlier one's would be as well
    crate::truth::Truth::of(&mesh).await.settled(&mesh).await;
    let unknown = mesh.command(&["trace", &silent_id]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1), "an unsampled trace is recorded nowhere");
}
