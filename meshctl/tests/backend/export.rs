//! Spans come in by every way that OTLP knows.

use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use prost::Message as _;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::fixture::{batch, export, gzip, json, post, span, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_real_exporter_over_grpc_with_gzip() {
    let backend = start().await;
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{}", backend.otlp_grpc))
        .with_compression(Compression::Gzip)
        .build()
        .unwrap();
    let resource = Resource::builder().with_service_name("orders").build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let tracer = provider.tracer("test");
    let parent = tracer.span_builder("place order").with_kind(SpanKind::Server).start(&tracer);
    let id = parent.span_context().trace_id().to_string();
    let context = opentelemetry::Context::new().with_span(parent);
    tracer.span_builder("insert").with_kind(SpanKind::Client).start_with_context(&tracer, &context).end();
    context.span().end();
    provider.force_flush().unwrap();

    let (status, answer) = json(&backend, &format!("/api/traces/{id}")).await;
    assert_eq!(status, 200);
    let spans = answer["data"][0]["spans"].as_array().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span["operationName"].as_str().unwrap()).collect();
    assert_eq!(names, ["place order", "insert"]);
    assert_eq!(spans[1]["references"][0]["spanID"], spans[0]["spanID"]);
    assert_eq!(answer["data"][0]["processes"]["p1"]["serviceName"], "orders");
    provider.shutdown().unwrap();
}

#[tokio::test]
async fn http_takes_protobuf_and_json_plain_and_compressed() {
    let backend = start().await;
    let request = |trace| export(vec![batch("orders", "a", vec![span(trace, 1, 0)])]);
    for (trace, kind, encoding) in [
        (1, "application/x-protobuf", None),
        (2, "application/x-protobuf", Some("gzip")),
        (3, "application/json", None),
        (4, "application/json; charset=utf-8", Some("gzip")),
    ] {
        let binary = kind.ends_with("protobuf");
        let body = if binary { request(trace).encode_to_vec() } else { serde_json::to_vec(&request(trace)).unwrap() };
        let (body, mut headers) = (if encoding.is_some() { gzip(&body) } else { body }, vec![("content-type", kind)]);
        headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
        let response = post(&backend, &headers, body).await;
        assert_eq!(response.status(), 200, "{kind} {encoding:?}");
        let answered = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(answered, kind.split(';').next().unwrap());
        let bytes = response.bytes().await.unwrap();
        if binary {
            assert_eq!(ExportTraceServiceResponse::decode(bytes).unwrap(), ExportTraceServiceResponse::default());
        } else {
            assert_eq!(&bytes[..], b"{}");
        }
        let (status, answer) = json(&backend, &format!("/api/traces/{trace}")).await;
        assert_eq!((status.as_u16(), &answer["data"][0]["spans"][0]["operationName"]), (200, &json!("span 1")));
    }
}

#[tokio::test]
async fn json_written_by_hand_is_understood() {
    let backend = start().await;
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shell" } }] },
        "scopeSpans": [{ "spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "by hand", "kind": 2,
            "startTimeUnixNano": "1795219200000000000", "endTimeUnixNano": 1_795_219_200_005_000_000_u64,
            "attributes": [{ "key": "n", "value": { "intValue": "7" } }], "unknownField": true
        }] }]
    }] });
    let response = post(&backend, &[("content-type", "application/json")], body.to_string().into_bytes()).await;
    assert_eq!(response.status(), 200);
    let (_, answer) = json(&backend, "/api/traces/5b8efff798038103d269b633813fc60c").await;
    let span = &answer["data"][0]["spans"][0];
    assert_eq!((&span["duration"], &span["spanID"]), (&json!(5000), &json!("eee19b7ec3c1b174")));
    assert!(span["tags"].as_array().unwrap().contains(&json!({ "key": "n", "type": "int64", "value": 7 })));
}

#[tokio::test]
async fn a_span_sent_twice_is_kept_once_and_counted() {
    let backend = start().await;
    let body = export(vec![batch("orders", "a", vec![span(1, 1, 0), span(1, 2, 1)])]).encode_to_vec();
    for _ in 0..2 {
        assert_eq!(post(&backend, &[("content-type", "application/x-protobuf")], body.clone()).await.status(), 200);
    }
    let (_, stats) = json(&backend, "/api/stats").await;
    assert_eq!((&stats["spans_received"], &stats["spans_duplicate"], &stats["spans"]), (&json!(4), &json!(2), &json!(2)));
    let (_, answer) = json(&backend, "/api/traces/1").await;
    assert_eq!(answer["data"][0]["spans"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn spans_without_valid_ids_are_refused_and_the_rest_kept() {
    let backend = start().await;
    let mut nameless = span(1, 2, 1);
    nameless.span_id = vec![0; 8];
    let mut short = span(1, 3, 1);
    short.trace_id = vec![1; 15];
    let body = export(vec![batch("orders", "a", vec![span(1, 1, 0), nameless, short])]);
    let response = post(&backend, &[("content-type", "application/json")], serde_json::to_vec(&body).unwrap()).await;
    assert_eq!(response.status(), 200);
    let answer: serde_json::Value = response.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], 2);
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("trace_id of 16 bytes"));
    let stats = backend.store.stats();
    assert_eq!((stats.spans_received, stats.spans_refused, stats.spans_dropped, stats.spans), (3, 2, 2, 1));
}
