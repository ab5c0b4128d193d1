//! Everything that can go wrong, and what HTTP says about it. The only place where gRPC status becomes HTTP status.

#[cfg(test)]
mod tests;

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, ETAG, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    conditional::tag_of,
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
    #[error("the body's media type is not {allowed}")]
    UnsupportedMediaType { allowed: &'static str },
    #[error("the body is larger than {limit} bytes")]
    ContentTooLarge { limit: usize },
    #[error("no bearer token")]
    NoToken,
    #[error("the bearer token cannot be one")]
    NoSuchToken,
    #[error("forbidden: {0}")]
    Forbidden(&'static str),
    #[error("too many requests of this client")]
    RateLimited { retry_after: Duration },
    #[error("too many requests are open")]
    Overloaded,
    #[error(transparent)]
    TooManyStreams(#[from] chassis::http::StreamsFull),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("HTTP status {0}, as requested")]
    Requested(StatusCode),
    #[error("the scenario error-spike")]
    Scenario(StatusCode),
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
    /// One value is wrong; `allowed` reads on from its name.
    pub(crate) fn wrong(field: &str, allowed: &str) -> Self {
        let mut violations = Violations::default();
        violations.add(field, allowed);
        Self::Invalid(violations)
    }

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
const TIMEOUT_DETAIL: &str = "The answer took longer than the request allows.";
const STREAMS_DETAIL: &str = "More streams are open than can be served. Try again when others have ended.";
const UNAVAILABLE_DETAIL: &str = "A part of the service cannot be reached or does not answer in time. Try again shortly.";

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        match error {
            Error::Malformed(reason) => Self::new(Kind::MalformedRequest, reason),
            Error::Invalid(violations) => {
                let kind = if violations.has_unknown() { Kind::UnknownField } else { Kind::Validation };
                Self::new(kind, "See `errors`: each names a field and what is allowed there.").with_errors(violations.list().to_vec())
            }
            Error::UnsupportedMediaType { allowed } => {
                Self::new(Kind::UnsupportedMediaType, format!("Send the body uncompressed, with `Content-Type: {allowed}`."))
            }
            Error::ContentTooLarge { limit } => Self::new(Kind::ContentTooLarge, format!("The body may have at most {limit} bytes.")),
            // RFC 6750, section 3.1: no error code where there were no credentials
            Error::NoToken => Self::new(Kind::CredentialsRequired, "Send `Authorization: Bearer TOKEN`, with the access_token of a login.")
                .with_header(WWW_AUTHENTICATE, REALM),
            Error::NoSuchToken => refused_token(Kind::TokenInvalid),
            Error::Forbidden(reason) => Self::new(Kind::Forbidden, *reason),
            Error::RateLimited { retry_after } => Self::new(Kind::TooManyRequests, "This client sends more than it may. Slow down.")
                .with_header(RETRY_AFTER, &whole_seconds(*retry_after)),
            Error::Overloaded => {
                Self::new(Kind::Unavailable, "More requests are open than can be served. Try again shortly.").with_header(RETRY_AFTER, "1")
            }
            Error::TooManyStreams(_) => Self::new(Kind::Unavailable, STREAMS_DETAIL).with_header(RETRY_AFTER, "1"),
            Error::TimedOut(_) => Self::new(Kind::Timeout, TIMEOUT_DETAIL).with_cause(error.to_string()),
            Error::Requested(status) => {
                let problem = Self::new(Kind::Requested(*status), "You asked for it.");
                if status.is_server_error() { problem.with_cause(error.to_string()) } else { problem }
            }
            Error::Scenario(status) => spike(*status, error),
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
        Code::Aborted => aborted(status, &details),
        Code::OutOfRange => told(Kind::OutOfRange),
        Code::PermissionDenied => told(Kind::Forbidden),
        Code::Unauthenticated => unauthenticated(status, &details),
        Code::ResourceExhausted if reason(&details) == "TOO_MANY_STREAMS" => {
            Problem::new(Kind::Unavailable, STREAMS_DETAIL).with_header(RETRY_AFTER, &retry_after(&details))
        }
        Code::ResourceExhausted => told(Kind::TooManyRequests).with_header(RETRY_AFTER, &retry_after(&details)),
        // a callee cancels what has outlived its limit
        Code::Unavailable | Code::Cancelled => Problem::new(Kind::Unavailable, UNAVAILABLE_DETAIL)
            .with_header(RETRY_AFTER, &retry_after(&details))
            .with_cause(error.to_string()),
        Code::DeadlineExceeded => Problem::new(Kind::Timeout, TIMEOUT_DETAIL).with_cause(error.to_string()),
        Code::Unimplemented => Problem::new(Kind::NotImplemented, "The server does not offer this.").with_cause(error.to_string()),
        Code::Ok | Code::Internal | Code::Unknown | Code::DataLoss => internal(error),
    }
}

/// A change that was meant for another version: the answer names the one that there is.
fn aborted(status: &tonic::Status, details: &ErrorDetails) -> Problem {
    if reason(details) != "VERSION_MISMATCH" {
        return Problem::new(Kind::Conflict, status.message());
    }
    let problem = Problem::new(Kind::PreconditionFailed, "Read it again, and send its ETag as If-Match.");
    match said(details, "version").and_then(|version| version.parse().ok()) {
        Some(version) => problem.with_header(ETAG, &tag_of(version).to_string()),
        None => problem,
    }
}

fn internal(error: &Error) -> Problem {
    Problem::new(Kind::Internal, INTERNAL_DETAIL).with_cause(error.to_string())
}

/// To the client it looks like any other error of that status.
fn spike(status: StatusCode, error: &Error) -> Problem {
    let problem = match status {
        StatusCode::SERVICE_UNAVAILABLE => Problem::new(Kind::Unavailable, UNAVAILABLE_DETAIL).with_header(RETRY_AFTER, "1"),
        StatusCode::GATEWAY_TIMEOUT => Problem::new(Kind::Timeout, TIMEOUT_DETAIL),
        _ => return internal(error),
    };
    problem.with_cause(error.to_string())
}

fn reason(details: &ErrorDetails) -> &str {
    details.error_info().map_or("", |info| &info.reason)
}

fn precondition(details: &ErrorDetails) -> Kind {
    match reason(details) {
        "INSUFFICIENT_STOCK" => Kind::InsufficientStock,
        "IDEMPOTENCY_KEY_REUSED" => Kind::IdempotencyKeyReused,
        "STATUS_STEP_FORBIDDEN" => Kind::StatusStepForbidden,
        _ => Kind::Conflict,
    }
}

fn unauthenticated(status: &tonic::Status, details: &ErrorDetails) -> Problem {
    match reason(details) {
        "TOKEN_INVALID" => refused_token(Kind::TokenInvalid),
        "TOKEN_EXPIRED" => refused_token(Kind::TokenExpired),
        "SESSION_ENDED" => refused_token(Kind::SessionEnded),
        "TOKEN_REUSED" => refused_token(Kind::TokenReused),
        _ => Problem::new(Kind::CredentialsRequired, status.message()).with_header(WWW_AUTHENTICATE, REALM),
    }
}

/// The challenge of RFC 6750, section 3.
fn refused_token(kind: Kind) -> Problem {
    let challenge = format!("{REALM}, error=\"invalid_token\", error_description=\"{}\"", kind.title());
    Problem::new(kind, "Log in again and send the new access_token.").with_header(WWW_AUTHENTICATE, &challenge)
}

fn retry_after(details: &ErrorDetails) -> String {
    whole_seconds(details.retry_info().and_then(|info| info.retry_delay).unwrap_or_default())
}

/// Rounded up, at least one.
fn whole_seconds(delay: Duration) -> String {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1).to_string()
}

/// What the services name, by field violations or by `ErrorInfo`, in the names of this API.
fn violations(details: &ErrorDetails, lines: &[ProductId]) -> Vec<Violation> {
    let fields = details.bad_request().into_iter().flat_map(|found| &found.field_violations);
    let fields = fields.map(|found| Violation { field: public_name(&found.field), detail: found.description.clone() });
    let taken = said(details, "field").map(|field| Violation { field: public_name(field), detail: "is taken".into() });
    let scarce = said(details, "product_ids").into_iter().flat_map(|ids| ids.split(',')).map(|id| too_little(id, lines));
    fields.chain(taken).chain(scarce).chain(forbidden_step(details)).collect()
}

/// What an `ErrorInfo` says under a key.
fn said<'a>(details: &'a ErrorDetails, key: &str) -> Option<&'a str> {
    details.error_info().and_then(|info| info.metadata.get(key)).map(String::as_str)
}

fn forbidden_step(details: &ErrorDetails) -> Option<Violation> {
    let (status, allowed) = (said(details, "status")?, said(details, "allowed")?);
    let steps = if allowed.is_empty() { "nothing".to_owned() } else { allowed.split(',').collect::<Vec<_>>().join(" or ") };
    Some(Violation { field: "status".into(), detail: format!("is {status}, and can only become {steps}") })
}

fn too_little(product_id: &str, lines: &[ProductId]) -> Violation {
    let line = lines.iter().position(|id| String::from(*id) == product_id);
    let field = line.map_or_else(|| "items".into(), |line| format!("items[{line}].quantity"));
    Violation { field, detail: format!("is more than there is in stock of product {product_id}") }
}

fn public_name(field: &str) -> String {
    match field.strip_prefix("product.").unwrap_or(field) {
        "page_size" => "limit",
        "page_token" => "cursor",
        "idempotency_key" => "Idempotency-Key",
        "version" => "If-Match",
        "query" => "q",
        "chunk" => "avatar",
        "price.amount" => "price",
        "price.currency" => "currency",
        same => same,
    }
    .to_owned()
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        Problem::from(self).kind.status()
    }

    /// An empty response that carries the [`Problem`]: only [`crate::render`] knows the request that it belongs to.
    fn error_response(&self) -> HttpResponse {
        let problem = Problem::from(self);
        let mut response = HttpResponse::new(problem.kind.status());
        response.extensions_mut().insert(problem);
        response
    }
}
