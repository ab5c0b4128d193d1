//! Exports that cannot be taken are answered as the OTLP specification says, and counted.

use meshctl::backend::otlp::MAX_EXPORT;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use reqwest::{Response, header::CONTENT_TYPE};
use tonic::Code;

use crate::fixture::{batch, export, gzip, post, span, start, text};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn assert_protobuf(response: Response, status: u16, code: Code, word: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/x-protobuf");
    let body = tonic_types::Status::decode(response.bytes().await.unwrap()).unwrap();
    assert_eq!(Code::from(body.code), code);
    assert!(body.message.contains(word), "{}", body.message);
}

async fn assert_json(response: Response, status: u16, word: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body: serde_json::Value = response.json().await.unwrap();
    assert!(body["code"].is_i64() && body["message"].as_str().unwrap().contains(word), "{body}");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_400_in_the_encoding_of_the_request() {
    let backend = start().await;
    let invalid = Code::InvalidArgument;
    assert_protobuf(post(&backend, &[PROTOBUF], b"\xff\xff".to_vec()).await, 400, invalid, "ExportTraceService").await;
    assert_json(post(&backend, &[JSON], b"{".to_vec()).await, 400, "EOF").await;
    let wrong_type = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":5}]}]}]}"#;
    assert_json(post(&backend, &[JSON], wrong_type.to_vec()).await, 400, "hex-encoded").await;
    let gzipped = ("content-encoding", "gzip");
    assert_protobuf(post(&backend, &[PROTOBUF, gzipped], b"plain".to_vec()).await, 400, invalid, "not gzip").await;
    assert_eq!(backend.store.stats().exports_rejected, 4);
}

#[tokio::test]
async fn unknown_content_types_and_encodings_are_415() {
    let backend = start().await;
    assert_json(post(&backend, &[("content-type", "text/plain")], Vec::new()).await, 415, "application/json").await;
    assert_json(post(&backend, &[], Vec::new()).await, 415, "application/x-protobuf").await;
    assert_json(post(&backend, &[JSON, ("content-encoding", "br")], b"{}".to_vec()).await, 415, "\"br\"").await;
}

#[tokio::test]
async fn what_is_too_large_is_413_before_and_after_decompression() {
    let backend = start().await;
    let large = vec![0; MAX_EXPORT + 1];
    let bomb = gzip(&large);
    assert!(bomb.len() < MAX_EXPORT / 100);
    let exhausted = Code::ResourceExhausted;
    assert_protobuf(post(&backend, &[PROTOBUF], large).await, 413, exhausted, "smaller batches").await;
    let headers = [PROTOBUF, ("content-encoding", "gzip")];
    assert_protobuf(post(&backend, &headers, bomb).await, 413, exhausted, "smaller batches").await;
}

#[tokio::test]
async fn grpc_has_the_same_limit_and_no_other_methods_exist_over_http() {
    let backend = start().await;
    let mut large = span(1, 1, 0);
    large.attributes.push(text("payload", &"x".repeat(MAX_EXPORT)));
    let mut client = TraceServiceClient::connect(format!("http://{}", backend.otlp_grpc)).await.unwrap();
    let status = client.export(export(vec![batch("orders", "a", vec![large])])).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");

    let url = format!("http://{}/v1/traces", backend.otlp_http);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 405);
    assert_eq!(backend.store.stats().spans, 0);
}
