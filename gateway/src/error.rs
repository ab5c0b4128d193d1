//! Everything that can go wrong, and what HTTP says about it. The only place where gRPC status becomes HTTP status, and
//! the only one that writes `application/problem+json`.

#[cfg(test)]
mod tests;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde::Serialize;
use telemetry::context::current_trace_id;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    middleware::RequestId,
    problem::{Kind, Problem, Violation, Violations},
    product::ProductId,
};

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Malformed(String),
    #[error("{} wrong value(s)", .0.list().len())]
    Invalid(Violations),
    #[error("the body's media type is not application/json")]
    UnsupportedMediaType,
    #[error("the body is larger than {limit} bytes")]
    ContentTooLarge { limit: usize },
    #[error("no bearer token")]
    NoToken,
    #[error("the bearer token cannot be one")]
    NoSuchToken,
    #[error("no such route")]
    NoSuchRoute,
    #[error("method not allowed; allowed: {allowed}")]
    MethodNotAllowed { allowed: String },
    /// `lines`: the products of the order that was asked for.
    #[error("{service}: {:?}: {}", status.code(), status.message())]
    Upstream { service: &'static str, status: Box<tonic::Status>, lines: Vec<ProductId> },
    #[error("{service} left out {what}")]
    BrokenAnswer { service: &'static str, what: &'static str },
    #[error("panicked: {0}")]
    Panicked(String),
    /// An answer of the framework's own.
    #[error("HTTP status {0}")]
    Framework(StatusCode),
}

impl Error {
    /// Lets a refusal of an order name the lines that are to blame.
    pub(crate) fn about(mut self, products: Vec<ProductId>) -> Self {
        if let Self::Upstream { lines, .. } = &mut self {
            *lines = products;
        }
        self
    }
}

const REALM: &str = "Bearer realm=\"throughline\"";
const INTERNAL_DETAIL: &str = "The mistake is on the server's side and has been recorded; name the request_id when you report it.";
const UNAVAILABLE_DETAIL: &str = "A part of the service cannot be reached or does not answer in time. Try again shortly.";

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        match error {
            Error::Malformed(reason) => Self::new(Kind::MalformedRequest, reason),
            Error::Invalid(violations) => {
                let kind = if violations.has_unknown() { Kind::UnknownField } else { Kind::Validation };
                Self::new(kind, "See `errors`: each names a field and what is allowed there.").with_errors(violations.list().to_vec())
            }
            Error::UnsupportedMediaType => {
                Self::new(Kind::UnsupportedMediaType, "Send the body as JSON, uncompressed, with `Content-Type: application/json`.")
            }
            Error::ContentTooLarge { limit } => Self::new(Kind::ContentTooLarge, format!("The body may have at most {limit} bytes.")),
            // RFC 6750, section 3.1: no error code where there were no credentials
            Error::NoToken => Self::new(Kind::CredentialsRequired, "Send `Authorization: Bearer TOKEN`, with the access_token of a login.")
                .with_header(WWW_AUTHENTICATE, REALM),
            Error::NoSuchToken => refused_token(Kind::TokenInvalid),
            Error::NoSuchRoute => Self::new(Kind::NotFound, "There is nothing at this path."),
            Error::MethodNotAllowed { allowed } => {
                Self::new(Kind::MethodNotAllowed, format!("Allowed here: {allowed}.")).with_header(ALLOW, allowed)
            }
            Error::Upstream { status, lines, .. } => from_grpc(status, lines, error),
            Error::Framework(status) if status.is_client_error() => {
                Self::new(Kind::MalformedRequest, status.canonical_reason().unwrap_or("The request cannot be read"))
            }
            Error::BrokenAnswer { .. } | Error::Panicked(_) | Error::Framework(_) => internal(error),
        }
    }
}

/// gRPC status to HTTP: <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>, but that 422 and
/// 409 say more than 400. What the client did wrong is told in the service's words; what the server did, in ours.
fn from_grpc(status: &tonic::Status, lines: &[ProductId], error: &Error) -> Problem {
    let details = status.get_error_details();
    let told = |kind| Problem::new(kind, status.message()).with_errors(violations(&details, lines));
    match status.code() {
        Code::InvalidArgument => told(Kind::Validation),
        Code::NotFound => told(Kind::NotFound),
        Code::AlreadyExists => told(Kind::AlreadyExists),
        Code::FailedPrecondition => told(precondition(&details)),
        Code::Aborted => told(Kind::Conflict),
        Code::OutOfRange => told(Kind::OutOfRange),
        Code::PermissionDenied => told(Kind::Forbidden),
        Code::Unauthenticated => unauthenticated(status, &details),
        Code::ResourceExhausted => told(Kind::TooManyRequests).with_header(RETRY_AFTER, &retry_after(&details)),
        // a callee cancels what has outlived its limit
        Code::Unavailable | Code::Cancelled => Problem::new(Kind::Unavailable, UNAVAILABLE_DETAIL)
            .with_header(RETRY_AFTER, &retry_after(&details))
            .with_cause(error.to_string()),
        Code::DeadlineExceeded => {
            Problem::new(Kind::Timeout, "The answer took longer than the request allows.").with_cause(error.to_string())
        }
        Code::Unimplemented => Problem::new(Kind::NotImplemented, "The server does not offer this.").with_cause(error.to_string()),
        Code::Ok | Code::Internal | Code::Unknown | Code::DataLoss => internal(error),
    }
}

fn internal(error: &Error) -> Problem {
    Problem::new(Kind::Internal, INTERNAL_DETAIL).with_cause(error.to_string())
}

fn reason(details: &ErrorDetails) -> &str {
    details.error_info().map_or("", |info| &info.reason)
}

fn precondition(details: &ErrorDetails) -> Kind {
    match reason(details) {
        "INSUFFICIENT_STOCK" => Kind::InsufficientStock,
        "IDEMPOTENCY_KEY_REUSED" => Kind::IdempotencyKeyReused,
        _ => Kind::Conflict,
    }
}

fn unauthenticated(status: &tonic::Status, details: &ErrorDetails) -> Problem {
    match reason(details) {
        "TOKEN_INVALID" => refused_token(Kind::TokenInvalid),
        "TOKEN_EXPIRED" => refused_token(Kind::TokenExpired),
        "SESSION_ENDED" => refused_token(Kind::SessionEnded),
        _ => Problem::new(Kind::CredentialsRequired, status.message()).with_header(WWW_AUTHENTICATE, REALM),
    }
}

/// The challenge of RFC 6750, section 3.
fn refused_token(kind: Kind) -> Problem {
    let challenge = format!("{REALM}, error=\"invalid_token\", error_description=\"{}\"", kind.title());
    Problem::new(kind, "Log in again and send the new access_token.").with_header(WWW_AUTHENTICATE, &challenge)
}

/// Whole seconds, at least one.
fn retry_after(details: &ErrorDetails) -> String {
    let delay = details.retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1).to_string()
}

/// What the services name, by field violations or by `ErrorInfo`, in the names of this API.
fn violations(details: &ErrorDetails, lines: &[ProductId]) -> Vec<Violation> {
    let fields = details.bad_request().into_iter().flat_map(|found| &found.field_violations);
    let fields = fields.map(|found| Violation { field: public_name(&found.field), detail: found.description.clone() });
    let said = |key| details.error_info().and_then(|info| info.metadata.get(key));
    let taken = said("field").map(|field| Violation { field: public_name(field), detail: "is taken".into() });
    let scarce = said("product_ids").into_iter().flat_map(|ids| ids.split(',')).map(|id| too_little(id, lines));
    fields.chain(taken).chain(scarce).collect()
}

fn too_little(product_id: &str, lines: &[ProductId]) -> Violation {
    let line = lines.iter().position(|id| String::from(*id) == product_id);
    let field = line.map_or_else(|| "items".into(), |line| format!("items[{line}].quantity"));
    Violation { field, detail: format!("is more than there is in stock of product {product_id}") }
}

fn public_name(field: &str) -> String {
    match field {
        "page_size" => "limit",
        "page_token" => "cursor",
        "idempotency_key" => "Idempotency-Key",
        same => same,
    }
    .to_owned()
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        Problem::from(self).kind.status()
    }

    /// An empty response that carries the [`Problem`]: only [`render`] knows the request that it belongs to.
    fn error_response(&self) -> HttpResponse {
        let problem = Problem::from(self);
        let mut response = HttpResponse::new(problem.kind.status());
        response.extensions_mut().insert(problem);
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
}

/// Writes the problem as the answer to `request`, and its cause, if it has one, to the log.
pub(crate) fn render(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let extensions = request.extensions();
    let request_id = extensions.get::<RequestId>().map_or("", RequestId::as_str);
    let (kind, status) = (problem.kind, problem.kind.status());
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id, status = status.as_u16(), path = request.path(), cause, "request failed");
    }
    let mut response = HttpResponse::build(status);
    problem.headers.iter().for_each(|header| {
        response.insert_header(header.clone());
    });
    response.content_type("application/problem+json").json(Document {
        r#type: kind.type_uri(),
        title: kind.title(),
        status: status.as_u16(),
        detail: &problem.detail,
        instance: request.path(),
        trace_id: current_trace_id(),
        request_id,
        errors: &problem.errors,
    })
}
