//! Jaeger's query API, in Jaeger's own JSON.

use meshctl::backend::RunningBackend;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, any_value::Value as Otlp},
    trace::v1::{
        Span, Status,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};
use serde_json::{Value, json};

use crate::fixture::{EPOCH, MS, attribute, batch, json, keep, span, start, text};

/// The span of an insert with one of everything that translates.
fn rich() -> Span {
    let tags = ["a", "b"].map(|tag| AnyValue { value: Some(Otlp::StringValue(tag.into())) });
    Span {
        name: "INSERT orders".into(),
        kind: SpanKind::Client.into(),
        trace_state: "vendor=1".into(),
        attributes: vec![
            text("db.system.name", "postgresql"),
            attribute("rows", Otlp::IntValue(3)),
            attribute("huge", Otlp::IntValue(i64::MAX)),
            attribute("ratio", Otlp::DoubleValue(0.5)),
            attribute("cached", Otlp::BoolValue(false)),
            attribute("blob", Otlp::BytesValue(vec![1, 2, 3])),
            attribute("list", Otlp::ArrayValue(ArrayValue { values: tags.to_vec() })),
        ],
        events: vec![Event {
            time_unix_nano: EPOCH + 2 * MS,
            name: "exception".into(),
            attributes: vec![text("exception.message", "out of stock")],
            ..Event::default()
        }],
        links: vec![Link { trace_id: vec![0xab; 16], span_id: vec![0xcd; 8], ..Link::default() }],
        status: Some(Status { code: StatusCode::Error.into(), message: "conflict".into() }),
        ..span(1, 2, 1)
    }
}

#[tokio::test]
async fn a_trace_translates_as_in_jaeger() {
    let backend = start().await;
    keep(&backend, vec![batch("gateway", "g1", vec![span(1, 1, 0)]), batch("orders", "o1", vec![rich()])]);
    let (status, answer) = json(&backend, "/api/traces/00000000000000000000000000000001").await;
    assert_eq!(status, 200);
    let id = "00000000000000000000000000000001";
    let tag = |key: &str, kind: &str, value: Value| json!({ "key": key, "type": kind, "value": value });
    let scope = [tag("otel.scope.name", "string", json!("telemetry")), tag("otel.scope.version", "string", json!("0.1.0"))];
    let instance = |id: &str| json!([tag("service.instance.id", "string", json!(id))]);
    let root = json!({
        "traceID": id, "spanID": "0000000000000001", "operationName": "span 1", "references": [],
        "startTime": 1_795_219_200_001_000_u64, "duration": 10_000, "processID": "p1", "warnings": null, "logs": [],
        "tags": [scope[0], scope[1], tag("span.kind", "string", json!("server"))],
    });
    let insert = json!({
        "traceID": id, "spanID": "0000000000000002", "operationName": "INSERT orders",
        "references": [
            { "refType": "CHILD_OF", "traceID": id, "spanID": "0000000000000001" },
            { "refType": "FOLLOWS_FROM", "traceID": "ab".repeat(16), "spanID": "cd".repeat(8) },
        ],
        "startTime": 1_795_219_200_001_000_u64, "duration": 10_000, "processID": "p2", "warnings": null,
        "logs": [{ "timestamp": 1_795_219_200_002_000_u64, "fields": [
            tag("event", "string", json!("exception")), tag("exception.message", "string", json!("out of stock")),
        ] }],
        "tags": [
            scope[0], scope[1],
            tag("db.system.name", "string", json!("postgresql")), tag("rows", "int64", json!(3)),
            tag("huge", "int64", json!("9223372036854775807")), tag("ratio", "float64", json!(0.5)),
            tag("cached", "bool", json!(false)), tag("blob", "binary", json!("AQID")),
            tag("list", "string", json!("[\"a\",\"b\"]")), tag("span.kind", "string", json!("client")),
            tag("otel.status_code", "string", json!("ERROR")), tag("error", "bool", json!(true)),
            tag("otel.status_description", "string", json!("conflict")), tag("w3c.tracestate", "string", json!("vendor=1")),
        ],
    });
    let trace = json!({
        "traceID": id, "spans": [root, insert], "warnings": null,
        "processes": {
            "p1": { "serviceName": "gateway", "tags": instance("g1") },
            "p2": { "serviceName": "orders", "tags": instance("o1") },
        },
    });
    assert_eq!(answer, json!({ "data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": null }));
}

#[tokio::test]
async fn instances_of_a_service_are_processes_of_their_own() {
    let backend = start().await;
    let batches = [("a", 1, 0), ("b", 2, 1), ("a", 3, 2)];
    keep(&backend, batches.map(|(instance, id, parent)| batch("orders", instance, vec![span(9, id, parent)])).to_vec());
    let (_, answer) = json(&backend, "/api/traces/9").await;
    let processes = answer["data"][0]["processes"].as_object().unwrap();
    assert_eq!(processes.len(), 2);
    let of: Vec<_> = answer["data"][0]["spans"].as_array().unwrap().iter().map(|span| &span["processID"]).collect();
    assert_eq!(of, ["p1", "p2", "p1"]);
    assert_eq!(answer["data"][0]["spans"][1]["warnings"], Value::Null);
}

#[tokio::test]
async fn missing_and_malformed_ids_are_told_in_jaegers_form() {
    let backend = start().await;
    keep(&backend, vec![batch("orders", "a", vec![span(1, 2, 77)])]);
    let (status, answer) = json(&backend, "/api/traces/abc").await;
    assert_eq!(status, 404);
    let failure = json!([{ "code": 404, "msg": "trace not found" }]);
    assert_eq!(answer, json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": failure }));
    let (status, answer) = json(&backend, "/api/traces/nonsense").await;
    assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (400, &json!(400)));

    let (status, answer) = json(&backend, "/api/traces?traceID=1&traceID=2").await;
    assert_eq!((status.as_u16(), answer["data"].as_array().unwrap().len()), (200, 1));
    let missing = json!([{ "msg": "trace not found", "traceID": "00000000000000000000000000000002" }]);
    assert_eq!(answer["errors"], missing);
    let warning = answer["data"][0]["spans"][0]["warnings"][0].as_str().unwrap();
    assert_eq!(warning, "parent span 000000000000004d is not in this trace");
}

/// Orders 1 to 5, a millisecond apart: a server span of the gateway over one of orders that takes as many milliseconds
/// as its number; the fourth failed.
async fn five_orders() -> RunningBackend {
    let backend = start().await;
    for trace in 1..=5 {
        let mut order = span(trace, 2, 1);
        order.name = "PlaceOrder".into();
        order.end_time_unix_nano = order.start_time_unix_nano + u64::try_from(trace).unwrap() * MS;
        order.attributes.push(text("customer", &format!("c{trace}")));
        if trace == 4 {
            order.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        }
        keep(&backend, vec![batch("gateway", "a", vec![span(trace, 1, 0)]), batch("orders", "a", vec![order])]);
    }
    backend
}

async fn search(backend: &RunningBackend, query: &str) -> Vec<u64> {
    let (status, answer) = json(backend, &format!("/api/traces?{query}")).await;
    assert_eq!(status, 200, "{answer}");
    let ids = answer["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap());
    ids.map(|id| u64::from_str_radix(id, 16).unwrap()).collect()
}

#[tokio::test]
async fn searches_find_the_newest_traces_that_meet_all_conditions_in_one_span() {
    let backend = five_orders().await;
    let base = 1_795_219_200_000_000_u64;
    for (query, found) in [
        ("service=orders".to_owned(), &[5, 4, 3, 2, 1][..]),
        ("service=orders&limit=2".to_owned(), &[5, 4]),
        ("service=orders&operation=PlaceOrder".to_owned(), &[5, 4, 3, 2, 1]),
        ("service=gateway&operation=PlaceOrder".to_owned(), &[]),
        ("service=orders&minDuration=2ms&maxDuration=3ms".to_owned(), &[3, 2]),
        ("service=orders&tags=%7B%22error%22%3A%22true%22%7D".to_owned(), &[4]),
        ("service=gateway&tags=%7B%22error%22%3A%22true%22%7D".to_owned(), &[]),
        ("service=orders&tag=customer:c2".to_owned(), &[2]),
        ("service=orders&tag=customer:c2&tag=span.kind:client".to_owned(), &[]),
        ("service=orders&tag=service.instance.id:a&limit=1".to_owned(), &[5]),
        (format!("service=orders&start={}&end={}&lookback=custom", base + 2000, base + 3000), &[3, 2]),
        (format!("service=orders&end={}&lookback=1ms", base + 4000), &[4, 3]),
        ("service=nobody".to_owned(), &[]),
    ] {
        assert_eq!(search(&backend, &query).await, found, "{query}");
    }
    let (status, answer) = json(&backend, "/api/traces?limit=5").await;
    assert_eq!((status.as_u16(), &answer["errors"][0]["msg"]), (400, &json!("parameter 'service' is required")));
}

#[tokio::test]
async fn names_and_dependencies() {
    let backend = five_orders().await;
    let (_, services) = json(&backend, "/api/services").await;
    assert_eq!((&services["data"], &services["total"]), (&json!(["gateway", "orders"]), &json!(2)));
    let (_, names) = json(&backend, "/api/services/orders/operations").await;
    assert_eq!(names["data"], json!(["PlaceOrder"]));
    let (_, operations) = json(&backend, "/api/operations?service=gateway").await;
    assert_eq!(operations["data"], json!([{ "name": "span 1", "spanKind": "server" }]));
    let (_, operations) = json(&backend, "/api/operations?service=gateway&spanKind=client").await;
    assert_eq!(operations["data"], json!([]));
    assert_eq!(json(&backend, "/api/operations").await.0, 400);

    let end = 1_795_219_200_003_u64;
    let (_, all) = json(&backend, &format!("/api/dependencies?endTs={end}&lookback=60000")).await;
    assert_eq!(all["data"], json!([{ "parent": "gateway", "child": "orders", "callCount": 3 }]));
    let (_, none) = json(&backend, &format!("/api/dependencies?endTs={end}&lookback=60000&service=auth")).await;
    assert_eq!(none["data"], json!([]));
}
