//! OTLP/gRPC: the `TraceService` of `opentelemetry.proto.collector.trace.v1`.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use super::store::Store;

/// The largest export taken, before and after decompression: 16 MiB.
pub const MAX_EXPORT: usize = 16 * 1024 * 1024;

/// Stores an export and says, as the specification asks, how many spans were refused and why.
pub(crate) fn accept(store: &Store, export: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
    let refused = store.insert(export.resource_spans).refused;
    ExportTraceServiceResponse {
        partial_success: (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: "spans need a trace_id of 16 bytes and a span_id of 8 bytes, neither all zero".to_owned(),
        }),
    }
}

/// The gRPC service: takes exports of up to [`MAX_EXPORT`] bytes, plain or compressed by gzip.
pub(crate) fn service(store: Arc<Store>) -> TraceServiceServer<impl TraceService> {
    TraceServiceServer::new(Receiver(store)).accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(MAX_EXPORT)
}

struct Receiver(Arc<Store>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(accept(&self.0, request.into_inner())))
    }
}
