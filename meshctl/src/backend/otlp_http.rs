//! OTLP/HTTP: `POST /v1/traces` in binary protobuf or JSON, plain or compressed by gzip.
//!
//! Errors are a `google.rpc.Status` in the encoding of the request, as the OTLP specification demands.

use std::{io::Read as _, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::json;
use tonic::Code;

use super::{
    otlp::{MAX_EXPORT, accept},
    raw::Export,
    store::Store,
};

/// The receiver's routes.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new().route("/v1/traces", post(export)).layer(DefaultBodyLimit::max(MAX_EXPORT)).with_state(store)
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Protobuf,
    Json,
}

struct Refusal {
    status: StatusCode,
    code: Code,
    message: String,
}

async fn export(State(store): State<Arc<Store>>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let Some(encoding) = encoding(&headers) else {
        store.count_rejected_export();
        let message = "the content type of an export is application/x-protobuf or application/json";
        return refuse(Encoding::Json, &refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    };
    match read(encoding, &headers, body) {
        Ok(export) => reply(encoding, &accept(&store, export)),
        Err(refusal) => {
            store.count_rejected_export();
            refuse(encoding, &refusal)
        }
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match value.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Some(Encoding::Protobuf),
        "application/json" => Some(Encoding::Json),
        _ => None,
    }
}

fn read(encoding: Encoding, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Export, Refusal> {
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => refusal(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")),
    })?;
    let bytes = match headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("")) {
        None | Some("" | "identity") => bytes,
        Some("gzip") => gunzip(&bytes)?.into(),
        Some(other) => {
            let message = format!("content encoding {other:?} is not supported: send gzip or none");
            return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    let decoded = match encoding {
        Encoding::Protobuf => Export::decode(bytes).map_err(|error| error.to_string()),
        Encoding::Json => serde_json::from_slice(&bytes)
            .map(|request: ExportTraceServiceRequest| Export::from(request.resource_spans))
            .map_err(|error| error.to_string()),
    };
    decoded.map_err(|error| refusal(StatusCode::BAD_REQUEST, format!("the body is not an ExportTraceServiceRequest: {error}")))
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::new();
    // one byte more than allowed tells "too large" from "just fits"
    MultiGzDecoder::new(bytes)
        .take(MAX_EXPORT as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, format!("the body is not gzip: {error}")))?;
    if plain.len() > MAX_EXPORT { Err(too_large()) } else { Ok(plain) }
}

fn too_large() -> Refusal {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("an export is limited to {MAX_EXPORT} bytes: send smaller batches"))
}

fn refusal(status: StatusCode, message: impl Into<String>) -> Refusal {
    let code = if status == StatusCode::PAYLOAD_TOO_LARGE { Code::ResourceExhausted } else { Code::InvalidArgument };
    Refusal { status, code, message: message.into() }
}

fn refuse(encoding: Encoding, refusal: &Refusal) -> Response {
    let Refusal { status, code, message } = refusal;
    let code = i32::from(*code);
    match encoding {
        Encoding::Json => (*status, Json(json!({ "code": code, "message": message }))).into_response(),
        Encoding::Protobuf => {
            let body = tonic_types::Status { code, message: message.clone(), details: Vec::new() };
            protobuf(*status, &body)
        }
    }
}

fn reply(encoding: Encoding, response: &ExportTraceServiceResponse) -> Response {
    match encoding {
        Encoding::Protobuf => protobuf(StatusCode::OK, response),
        // an unset message is left out of proto3 JSON, where serde would write a null
        Encoding::Json if response.partial_success.is_none() => Json(json!({})).into_response(),
        Encoding::Json => Json(response).into_response(),
    }
}

fn protobuf(status: StatusCode, message: &impl Message) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
}
