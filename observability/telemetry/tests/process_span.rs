//! What the span of a processed record says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kafka::message::{Header, OwnedHeaders};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use telemetry::{
    TelemetryConfig,
    kafka::{Outcome, ProcessSpan, ReadFrom},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

#[derive(Clone, Default)]
struct Backend(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Backend {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Attributes about the delivery, as text.
fn said(span: &Span) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let known = span.attributes.iter().filter(|attribute| attribute.key.starts_with("throughline.") || attribute.key == "error.type");
    known.map(|attribute| (attribute.key.clone(), text(attribute.value.clone().unwrap().value.unwrap()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_tells_attempts_outcome_and_replays() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = Backend::default();
    #[allow(clippy::disallowed_methods, reason = "no trace context to lose in a test")]
    tokio::spawn(Server::builder().add_service(TraceServiceServer::new(backend.clone())).serve_with_incoming(TcpIncoming::from(listener)));
    let config =
        TelemetryConfig { otlp_endpoint: format!("http://127.0.0.1:{port}"), export_interval_ms: 60_000, ..TelemetryConfig::default() };
    let telemetry = telemetry::start(&config, "tested").unwrap();

    let from = ReadFrom { topic: "notifications", partition: 0, offset: 7, group: "notification", key: None };
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(traceparent) });
    let replayed = headers.clone().insert(Header { key: "dlq.replays", value: Some("2") });
    ProcessSpan::start(from, Some(headers.as_borrowed())).end(1, Outcome::Processed, None);
    let error = ("transient".to_owned(), "no luck".to_owned());
    ProcessSpan::start(from, Some(replayed.as_borrowed())).end(4, Outcome::DeadLettered, Some(error));
    let garbage = headers.insert(Header { key: "dlq.replays", value: Some("often") });
    ProcessSpan::start(from, Some(garbage.as_borrowed())).end(1, Outcome::Abandoned, None);
    tokio::task::block_in_place(|| telemetry.shutdown());

    let spans = backend.0.lock().unwrap();
    let expected = [
        vec![("throughline.consumer.attempts", "1"), ("throughline.consumer.outcome", "processed")],
        vec![
            ("error.type", "transient"),
            ("throughline.consumer.attempts", "4"),
            ("throughline.consumer.outcome", "dead_lettered"),
            ("throughline.replays", "2"),
        ],
        vec![("throughline.consumer.attempts", "1"), ("throughline.consumer.outcome", "abandoned")],
    ];
    let expected = expected.map(|of| of.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>());
    assert_eq!(spans.iter().map(said).collect::<Vec<_>>(), expected);
    for span in spans.iter() {
        assert_eq!((span.name.as_str(), span.links.len()), ("process notifications", 1));
        assert_eq!(span.links[0].span_id, span.parent_span_id, "a child of the span that sent it, and linked to it");
    }
}
