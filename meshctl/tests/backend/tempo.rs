//! Tempo's query API below `/tempo`.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::json;

use crate::fixture::{batch, fetch, json, keep, span, start};

const ID: &str = "00000000000000000000000000000001";

#[tokio::test]
async fn a_trace_as_json_and_as_protobuf() {
    let backend = start().await;
    let sent = vec![batch("gateway", "a", vec![span(1, 1, 0), span(1, 4, 1)]), batch("orders", "a", vec![span(1, 2, 1)])];
    keep(&backend, sent.clone());
    let (status, v1) = json(&backend, &format!("/tempo/api/traces/{ID}")).await;
    assert_eq!(status, 200);
    assert_eq!(v1["batches"], serde_json::to_value(&sent).unwrap());
    let span = &v1["batches"][1]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&json!(ID), &json!("0000000000000001")));
    let (_, v2) = json(&backend, &format!("/tempo/api/v2/traces/{ID}")).await;
    assert_eq!((&v2["trace"]["resourceSpans"], &v2["status"]), (&v1["batches"], &json!("COMPLETE")));

    let url = format!("http://{}/tempo/api/", backend.page_address);
    let binary = |path: &str| {
        let request = reqwest::Client::new().get(format!("{url}{path}/{ID}"));
        request.header("accept", "application/protobuf").send()
    };
    let v1 = binary("traces").await.unwrap();
    assert_eq!(v1.headers()["content-type"], "application/protobuf");
    assert_eq!(TracesData::decode(v1.bytes().await.unwrap()).unwrap().resource_spans, sent);
    let v2 = binary("v2/traces").await.unwrap().bytes().await.unwrap();
    // field 1 of TraceByIDResponse is the trace: a tag, a length of two bytes, the trace
    assert_eq!(v2[0], 0x0a);
    assert_eq!(TracesData::decode(&v2[3..]).unwrap().resource_spans, sent);
}

#[tokio::test]
async fn echo_missing_and_malformed() {
    let backend = start().await;
    assert_eq!(fetch(&backend, "/tempo/api/echo").await.text().await.unwrap(), "echo");
    assert_eq!(fetch(&backend, "/tempo/api/traces/12").await.status(), 404);
    assert_eq!(fetch(&backend, "/tempo/api/v2/traces/12").await.status(), 404);
    assert_eq!(fetch(&backend, "/tempo/api/traces/xyz").await.status(), 400);
}

#[tokio::test]
async fn search_by_tags() {
    let backend = start().await;
    for trace in 1..=3 {
        let service = if trace == 2 { "orders" } else { "gateway" };
        keep(&backend, vec![batch(service, "a", vec![span(trace, 1, 0)])]);
    }
    let (_, found) = json(&backend, "/tempo/api/search?tags=service.name%3Dorders%20span.kind%3D%22server%22").await;
    let expected = json!({
        "traces": [{
            "traceID": "00000000000000000000000000000002", "rootServiceName": "orders", "rootTraceName": "span 1",
            "startTimeUnixNano": "1795219200002000000", "durationMs": 10,
        }],
        "metrics": { "inspectedTraces": 3 },
    });
    assert_eq!(found, expected);
    let (_, found) = json(&backend, "/tempo/api/search?limit=2&start=1795219200&end=1795219201").await;
    assert_eq!(found["traces"].as_array().unwrap().len(), 2);
    assert_eq!(fetch(&backend, "/tempo/api/search?q=%7B.a%3D1%7D").await.status(), 400);
    assert_eq!(fetch(&backend, "/tempo/api/search?tags=nonsense").await.status(), 400);
}
