//! OTLP/gRPC: the `TraceService` of `opentelemetry.proto.collector.trace.v1`, whose messages are read as [`raw`](super::raw) says.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http_body::Body as HttpBody;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{CompressionEncoding, EnabledCompressionEncodings},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::{raw::Export, store::Store};

/// The largest export taken, before and after decompression: 16 MiB.
pub const MAX_EXPORT: usize = 16 * 1024 * 1024;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Stores an export and says, as the specification asks, how many spans were refused and why.
pub(crate) fn accept(store: &Store, export: Export) -> ExportTraceServiceResponse {
    let refused = store.take(export).refused;
    ExportTraceServiceResponse {
        partial_success: (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: "spans need a trace_id of 16 bytes and a span_id of 8 bytes, neither all zero".to_owned(),
        }),
    }
}

/// The gRPC service: takes exports of up to [`MAX_EXPORT`] bytes, plain or compressed by gzip.
#[derive(Debug, Clone)]
pub(crate) struct Receiver(Arc<Store>);

/// A receiver into this store.
pub(crate) fn service(store: Arc<Store>) -> Receiver {
    Receiver(store)
}

impl NamedService for Receiver {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl<B> Service<http::Request<B>> for Receiver
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != EXPORT {
            return ready(Ok(Status::unimplemented("TraceService has Export and nothing else").into_http())).boxed();
        }
        let receiver = self.clone();
        async move {
            let mut accepted = EnabledCompressionEncodings::default();
            accepted.enable(CompressionEncoding::Gzip);
            let codec = ProstCodec::<ExportTraceServiceResponse, Export>::default();
            let mut grpc = Grpc::new(codec)
                .apply_compression_config(accepted, EnabledCompressionEncodings::default())
                .apply_max_message_size_config(Some(MAX_EXPORT), None);
            Ok(grpc.unary(receiver, request).await)
        }
        .boxed()
    }
}

impl UnaryService<Export> for Receiver {
    type Response = ExportTraceServiceResponse;
    type Future = Ready<Result<Response<ExportTraceServiceResponse>, Status>>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        ready(Ok(Response::new(accept(&self.0, request.into_inner()))))
    }
}
