//! From spans in the backend to the trace in the terminal.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use meshctl::{
    backend::RunningBackend,
    trace::{Kind, Protocol, SpanFilter, TraceArgs, TraceSource, render, run},
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use tokio::time::Instant;

use crate::fixture::{batch, keep, span, start, text};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: TraceArgs,
}

fn url(backend: &RunningBackend) -> String {
    format!("http://{}", backend.page_address)
}

fn call(trace: u128, id: u64, parent: u64, kind: SpanKind, attributes: &[(&str, &str)]) -> Span {
    let attributes = attributes.iter().map(|(key, value)| text(key, value)).collect();
    Span { kind: kind.into(), attributes, ..span(trace, id, parent) }
}

/// gateway → orders → Postgres and Kafka → notification.
fn order(backend: &RunningBackend, trace: u128) {
    let http = [("http.request.method", "POST"), ("http.route", "/api/v1/orders")];
    let grpc = [("rpc.system.name", "grpc")];
    let gateway = vec![call(trace, 1, 0, SpanKind::Server, &http), call(trace, 2, 1, SpanKind::Client, &grpc)];
    let orders = vec![
        call(trace, 3, 2, SpanKind::Server, &grpc),
        call(trace, 4, 3, SpanKind::Client, &[("db.system.name", "postgresql")]),
        call(trace, 5, 3, SpanKind::Producer, &[("messaging.system", "kafka")]),
    ];
    let notification = vec![call(trace, 6, 5, SpanKind::Consumer, &[("messaging.system", "kafka")])];
    keep(backend, vec![batch("gateway", "a", gateway), batch("orders", "a", orders), batch("notification", "a", notification)]);
}

#[tokio::test]
async fn the_model_answers_what_a_test_asks() {
    let backend = start().await;
    order(&backend, 7);
    let source = TraceSource::new(&url(&backend)).unwrap();
    let trace = source.trace("7".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((trace.id().len(), trace.spans().len(), trace.roots().count(), trace.orphans().count()), (32, 6, 1, 0));
    assert_eq!(trace.services(), ["gateway", "orders", "notification"]);
    let spoken: Vec<_> = trace.protocols().into_iter().collect();
    assert_eq!(spoken, [Protocol::Http, Protocol::Grpc, Protocol::Sql, Protocol::Kafka]);

    let path = [
        SpanFilter::service("gateway").kind(Kind::Server).attribute("http.route", "/api/v1/orders"),
        SpanFilter::service("gateway").kind(Kind::Client).protocol(Protocol::Grpc),
        SpanFilter::service("orders").kind(Kind::Server),
        SpanFilter::service("orders").protocol(Protocol::Kafka).name("span 5"),
        SpanFilter::service("notification").kind(Kind::Consumer),
    ];
    let found = trace.find_path(&path).unwrap();
    assert_eq!(found.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["span 1", "span 2", "span 3", "span 5", "span 6"]);
    assert_eq!(trace.ancestors_of(found[4]).len(), 4);
    assert!(trace.find_path(&[path[0].clone(), path[2].clone()]).is_none(), "an edge is direct");
    assert_eq!(path[0].to_string(), "gateway server http.route=/api/v1/orders");
}

#[tokio::test]
async fn waiting_sees_a_trace_grow_until_it_is_whole() {
    let backend = start().await;
    keep(&backend, vec![batch("orders", "a", vec![span(1, 2, 1)])]);
    let source = TraceSource::new(&url(&backend)).unwrap();
    let late = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        keep(&backend, vec![batch("gateway", "a", vec![span(1, 1, 0)])]);
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let (settled, ()) = tokio::join!(source.settled("1".parse().unwrap(), deadline), late);
    let trace = settled.unwrap().unwrap();
    assert_eq!((trace.spans().len(), trace.orphans().count()), (2, 0));
    assert!(Instant::now() < deadline, "a trace that is whole should not be waited for");
}

#[tokio::test]
async fn the_newest_order_goes_before_newer_requests_of_another_kind() {
    let backend = start().await;
    order(&backend, 1);
    order(&backend, 2);
    keep(&backend, vec![batch("gateway", "a", vec![span(3, 1, 0)])]);
    let source = TraceSource::new(&url(&backend)).unwrap();
    let orders = source.newest("gateway", &[("http.route", "/api/v1/orders")]).await.unwrap().unwrap();
    assert!(orders.id().ends_with('2'));
    assert!(source.newest("gateway", &[]).await.unwrap().unwrap().id().ends_with('3'));
}

#[tokio::test]
async fn exit_codes() {
    let backend = start().await;
    order(&backend, 1);
    let default_url = url(&backend);
    let code = |line: &'static [&'static str]| {
        let args = Line::parse_from(["trace"].iter().chain(line)).args;
        let url = default_url.clone();
        async move { format!("{:?}", run(args, &url).await.unwrap()) }
    };
    let is = |code: u8| format!("{:?}", ExitCode::from(code));
    assert_eq!(code(&["1"]).await, is(0));
    assert_eq!(code(&["--last", "--json"]).await, is(0));
    assert_eq!(code(&["abc"]).await, is(1));
    assert_eq!(code(&["not-an-id"]).await, is(2));
    assert!(Line::try_parse_from(["trace"]).is_err());
    let nowhere = Line::parse_from(["trace", "1", "--backend", "http://127.0.0.1:1"]).args;
    let error = format!("{:#}", run(nowhere, &default_url).await.unwrap_err());
    assert!(error.contains("cannot reach the trace backend at http://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn the_waterfall_of_an_order() {
    let backend = start().await;
    order(&backend, 7);
    let source = TraceSource::new(&url(&backend)).unwrap();
    let trace = source.trace("7".parse().unwrap()).await.unwrap().unwrap();
    let text = render(&trace, 100, false);
    let lines: Vec<_> = text.lines().collect();
    let rows: Vec<_> = lines[1..7].iter().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect::<Vec<_>>()).collect();
    let cells = |row: usize| rows[row][..3].iter().map(|cell| cell.trim()).collect::<Vec<_>>();
    assert_eq!(cells(0), ["gateway", "span 1", "HTTP"]);
    assert_eq!(cells(3), ["orders", "├ span 4", "SQL"]);
    assert_eq!(cells(5), ["notification", "└ span 6", "Kafka"]);
    let summary = lines[8..].join(" · ");
    assert_eq!(summary, format!("{:032x} · 6 spans · 3 services · HTTP gRPC SQL Kafka · no errors · 10.0 ms · no orphans", 7));
}
