//! A backend on free ports, and spans to send it.

use clap::Parser;
use meshctl::backend::{Backend, BackendArgs, RunningBackend};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Otlp},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

/// 2026-11-21 00:00:00 UTC in nanoseconds.
pub(crate) const EPOCH: u64 = 1_795_219_200_000_000_000;
pub(crate) const MS: u64 = 1_000_000;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BackendArgs,
}

/// A backend on free ports, with more options.
pub(crate) async fn start_with(options: &[&str]) -> RunningBackend {
    let ports = ["--page-address", "--otlp-grpc", "--otlp-http"].map(|option| format!("{option}=127.0.0.1:0"));
    let line = ["backend".to_owned()].into_iter().chain(ports).chain(options.iter().map(ToString::to_string));
    Backend::start(Line::parse_from(line).args).await.unwrap()
}

pub(crate) async fn start() -> RunningBackend {
    start_with(&[]).await
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Otlp::StringValue(value.to_owned()))
}

pub(crate) fn attribute(key: &str, value: Otlp) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A server span of 10 ms, `trace` milliseconds after the epoch; parent 0 makes it a root.
pub(crate) fn span(trace: u128, id: u64, parent: u64) -> Span {
    let start = EPOCH + u64::try_from(trace).unwrap() * MS;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: format!("span {id}"),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 10 * MS,
        ..Span::default()
    }
}

/// The spans of one process; `instance` is its `service.instance.id`.
pub(crate) fn batch(service: &str, instance: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes = vec![text("service.name", service), text("service.instance.id", instance)];
    let scope = InstrumentationScope { name: "telemetry".into(), version: "0.1.0".into(), ..Default::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
        schema_url: String::new(),
    }
}

pub(crate) fn export(resource_spans: Vec<ResourceSpans>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest { resource_spans }
}

/// Puts spans into the backend's store, which the tests of the exports do over the wire.
pub(crate) fn keep(backend: &RunningBackend, batches: Vec<ResourceSpans>) {
    backend.store.insert(batches);
}

/// `GET` on the page port.
pub(crate) async fn fetch(backend: &RunningBackend, path: &str) -> Response {
    Client::new().get(format!("http://{}{path}", backend.page_address)).send().await.unwrap()
}

/// Status and JSON of `GET` on the page port.
pub(crate) async fn json(backend: &RunningBackend, path: &str) -> (StatusCode, Value) {
    let response = fetch(backend, path).await;
    (response.status(), response.json().await.unwrap())
}

/// `POST /v1/traces` on the OTLP/HTTP port.
pub(crate) async fn post(backend: &RunningBackend, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let request = Client::new().post(format!("http://{}/v1/traces", backend.otlp_http)).body(body);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
