//! Why a call did not succeed, and how that is told.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use telemetry::grpc::code_name;
use tonic::Status;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    /// The caller's mistake: an unknown service or method, or a message of the wrong shape. Exit code 2.
    Usage(String),
    /// Nobody answers, or not with gRPC reflection. Exit code 1.
    Unreachable(String),
    /// The call was answered with an error; the pool knows the types of its details. Exit code 1.
    Answer(Box<Status>, DescriptorPool),
}

impl Failure {
    /// 2 for the caller's mistakes, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unreachable(_) | Self::Answer(..) => 1,
        }
    }

    /// Lines for people: the code by name and number, the message, one line for each of the details.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Usage(message) | Self::Unreachable(message) => message.clone(),
            Self::Answer(status, pool) => {
                let code = status.code();
                let first = format!("{} ({}): {}", code_name(code), i32::from(code), status.message());
                let lines = details(status, pool).into_iter().map(|detail| format!("  {detail}"));
                std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// `{"error": {"code", "status", "message", "details"}}`; an error of our own has neither code nor details.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Usage(message) | Self::Unreachable(message) => json!({ "error": { "message": message } }),
            Self::Answer(status, pool) => json!({ "error": {
                "code": i32::from(status.code()),
                "status": code_name(status.code()),
                "message": status.message(),
                "details": details(status, pool),
            } }),
        }
    }
}

/// The details that travel as `google.rpc.Status` beside the code: proto3 JSON with `@type`, or base64 where the type
/// is unknown.
fn details(status: &Status, pool: &DescriptorPool) -> Vec<Value> {
    let Ok(rich) = tonic_types::Status::decode(status.details()) else { return Vec::new() };
    let any = pool.get_message_by_name("google.protobuf.Any");
    rich.details
        .iter()
        .map(|detail| {
            any.clone()
                .and_then(|any| DynamicMessage::decode(any, detail.encode_to_vec().as_slice()).ok())
                .and_then(|detail| serde_json::to_value(&detail).ok())
                .unwrap_or_else(|| json!({ "@type": detail.type_url, "value": STANDARD.encode(&detail.value) }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use tonic::Code;

    use super::*;
    use crate::call::reflect::known_types;

    #[test]
    fn details_are_shown_by_their_type() {
        let pool = DescriptorPool::from_file_descriptor_set(known_types()).unwrap();
        let details = ErrorDetails::with_bad_request_violation("lines[0].quantity", "must be positive");
        let status = Status::with_error_details(Code::InvalidArgument, "bad order", details);
        let failure = Failure::Answer(Box::new(status), pool);
        let json = failure.json();
        assert_eq!(json["error"]["status"], "INVALID_ARGUMENT");
        assert_eq!(json["error"]["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
        assert_eq!(json["error"]["details"][0]["fieldViolations"][0]["field"], "lines[0].quantity");
        assert!(failure.text().starts_with("INVALID_ARGUMENT (3): bad order\n  {"), "{}", failure.text());
    }

    #[test]
    fn unknown_details_stay_readable() {
        let any = prost_types::Any { type_url: "type.googleapis.com/shop.Secret".into(), value: vec![1, 2, 3] };
        let rich = tonic_types::Status { code: 13, message: "no".into(), details: vec![any] };
        let status = Status::with_details(Code::Internal, "no", rich.encode_to_vec().into());
        let pool = DescriptorPool::from_file_descriptor_set(known_types()).unwrap();
        assert_eq!(
            Failure::Answer(Box::new(status), pool).json()["error"]["details"][0],
            json!({ "@type": "type.googleapis.com/shop.Secret", "value": "AQID" })
        );
    }
}
