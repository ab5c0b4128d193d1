//! Spans over OTLP/gRPC and TLS, with headers and compression: tried again where the backend asks for it, counted where it
//! does not want them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use telemetry::{OtlpCompression, TelemetryConfig, context::TraceContext, kafka::SendSpan};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

/// Headers and span names of a request.
type Seen = (Option<String>, Option<String>, Vec<String>);

/// Is busy at first, and then does not want the last span of a request.
#[derive(Clone, Default)]
struct Picky(Arc<Mutex<Vec<Seen>>>);

#[tonic::async_trait]
impl TraceService for Picky {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let header = |name: &str| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (authorization, encoding) = (header("authorization"), header("grpc-encoding"));
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        let mut seen = self.0.lock().unwrap();
        seen.push((authorization, encoding, spans.map(|span| span.name).collect()));
        if seen.len() == 1 {
            return Err(Status::unavailable("busy"));
        }
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".into() });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn count(registry: &Registry, result: &str) -> Option<u64> {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let line = format!("throughline_telemetry_spans_total{{result=\"{result}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_a_backend_behind_tls_that_is_busy_first_and_those_it_rejects_are_counted() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certificate.cert.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = Picky::default();
    let service = TraceServiceServer::new(backend.clone()).accept_compressed(CompressionEncoding::Gzip);
    let identity = Identity::from_pem(certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity)).unwrap().add_service(service);
    #[allow(clippy::disallowed_methods, reason = "no trace context to lose in a test")]
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let config = TelemetryConfig {
        otlp_endpoint: format!("https://localhost:{port}"),
        otlp_ca_file: authority,
        otlp_compression: OtlpCompression::Gzip,
        otlp_headers: vec!["authorization=Bearer abc".into()],
        export_interval_ms: 60_000,
        ..TelemetryConfig::default()
    };
    let mut registry = Registry::default();
    telemetry::metrics::register(&mut registry, &config);
    let telemetry = telemetry::start(&config, "tested").unwrap();
    for topic in ["orders.created", "notifications", "analytics"] {
        SendSpan::below(&TraceContext::default(), topic, Some("key")).acknowledged(0, 1);
    }
    tokio::task::block_in_place(|| telemetry.shutdown());

    let names = ["send orders.created", "send notifications", "send analytics"].map(str::to_owned).to_vec();
    let request = (Some("Bearer abc".to_owned()), Some("gzip".to_owned()), names);
    assert_eq!(*backend.0.lock().unwrap(), [request.clone(), request]);
    assert_eq!(["exported", "failed", "dropped"].map(|result| count(&registry, result)), [Some(2), Some(1), None]);
}
