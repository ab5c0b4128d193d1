//! Spans for gRPC calls, as tower layers. <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>

mod body;
mod client;
mod server;

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute as semconv;
use tonic::Code;

pub use body::TracedBody;
pub use client::{GrpcClient, GrpcClientService};
pub use server::{GrpcServer, GrpcServerService};

/// Which side of the call a span describes: they differ in which codes count as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// `/throughline.auth.v1.AuthService/Login` without the slash in front.
fn method(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// What the conventions put for methods that are none.
pub(crate) const OTHER: &str = "_OTHER";

/// `rpc.method` follows at the end of the call, with the status: until then nobody knows whether the callee has it.
fn attributes(server: &[KeyValue]) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(server.len() + 3);
    attributes.push(KeyValue::new(semconv::RPC_SYSTEM_NAME, "grpc"));
    attributes.extend_from_slice(server);
    attributes
}

/// The name of a status code as the gRPC specification and the conventions spell it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A server has failed only where the fault is its own; a client's call has failed whenever it is not OK.
pub(crate) fn is_failure(side: Side, code: Code) -> bool {
    match side {
        Side::Client => code != Code::Ok,
        Side::Server => matches!(
            code,
            Code::Unknown | Code::DeadlineExceeded | Code::Unimplemented | Code::Internal | Code::Unavailable | Code::DataLoss
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_span_fails_only_by_the_servers_own_fault() {
        assert!(!is_failure(Side::Server, Code::NotFound));
        assert!(is_failure(Side::Client, Code::NotFound));
        assert!(is_failure(Side::Server, Code::Unavailable));
    }

    #[test]
    fn the_method_is_fully_qualified() {
        assert_eq!(method("/throughline.auth.v1.AuthService/Login"), "throughline.auth.v1.AuthService/Login");
    }
}
