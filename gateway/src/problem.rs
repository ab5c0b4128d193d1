//! What an answer that is no success says: the kinds of problem that the API promises, and one occurrence.
//! RFC 9457, <https://www.rfc-editor.org/rfc/rfc9457>

use actix_web::http::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The kinds of problem. Clients rely on their names: one that was published keeps its name and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedRequest,
    UnknownField,
    OutOfRange,
    CredentialsRequired,
    TokenInvalid,
    TokenExpired,
    SessionEnded,
    TokenReused,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    AlreadyExists,
    Conflict,
    InsufficientStock,
    StatusStepForbidden,
    PreconditionFailed,
    ContentTooLarge,
    UnsupportedMediaType,
    Validation,
    IdempotencyKeyReused,
    TooManyRequests,
    Internal,
    NotImplemented,
    Unavailable,
    Timeout,
    /// What `GET /error` was asked for.
    Requested(StatusCode),
}

impl Kind {
    /// Status, name in `type`, and title.
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed-request", "The request cannot be read"),
            Self::UnknownField => (StatusCode::BAD_REQUEST, "unknown-field", "The request has fields that are not known here"),
            Self::OutOfRange => (StatusCode::BAD_REQUEST, "out-of-range", "The request reaches past what there is"),
            Self::CredentialsRequired => (StatusCode::UNAUTHORIZED, "credentials-required", "Valid credentials are required"),
            Self::TokenInvalid => (StatusCode::UNAUTHORIZED, "token-invalid", "The access token is not valid"),
            Self::TokenExpired => (StatusCode::UNAUTHORIZED, "token-expired", "The access token has expired"),
            Self::SessionEnded => (StatusCode::UNAUTHORIZED, "session-ended", "The session has ended"),
            Self::TokenReused => (StatusCode::UNAUTHORIZED, "token-reused", "The refresh token was used before, so its session has ended"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This is not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This method is not allowed here"),
            Self::AlreadyExists => (StatusCode::CONFLICT, "already-exists", "This exists already"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "The state of things forbids this"),
            Self::InsufficientStock => (StatusCode::CONFLICT, "insufficient-stock", "There is too little in stock"),
            Self::StatusStepForbidden => {
                (StatusCode::CONFLICT, "status-step-forbidden", "The order cannot take this step from where it is")
            }
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "The resource has changed since it was read")
            }
            Self::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "content-too-large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body's media type cannot be read here")
            }
            Self::Validation => (StatusCode::UNPROCESSABLE_ENTITY, "validation", "Some values are not allowed"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key belongs to another request")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server made a mistake"),
            Self::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "not-implemented", "The server cannot do this"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service is not available"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "The answer took too long"),
            Self::Requested(status) => (status, "requested", "This is the error that was asked for"),
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        self.describe().0
    }

    /// The `type` member: a relative reference, as section 3.1.1 allows.
    pub(crate) fn type_uri(self) -> String {
        format!("/problems/{}", self.describe().1)
    }

    pub(crate) fn title(self) -> &'static str {
        self.describe().2
    }
}

/// One thing that is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Violation {
    /// Path of a JSON field (`items[0].quantity`), or name of a query parameter, path parameter or header.
    pub(crate) field: String,
    /// What is allowed; reads on from the field's name.
    pub(crate) detail: String,
}

/// All that is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    list: Vec<Violation>,
    has_unknown: bool,
}

impl Violations {
    /// Enough to mend a request by, and no more than an answer should hold.
    const MOST: usize = 100;

    pub(crate) fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        if self.list.len() < Self::MOST {
            self.list.push(Violation { field: field.into(), detail: detail.into() });
        }
    }

    pub(crate) fn add_unknown(&mut self, field: impl Into<String>, known: &[&str]) {
        self.has_unknown = true;
        self.add(field, format!("is not known here; known are {}", known.join(", ")));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    pub(crate) fn list(&self) -> &[Violation] {
        &self.list
    }
}

/// One occurrence of a [`Kind`]. Travels in a response's extensions to the place that renders it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// For the client.
    pub(crate) detail: String,
    pub(crate) errors: Vec<Violation>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log only.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    pub(crate) fn with_errors(mut self, errors: Vec<Violation>) -> Self {
        self.errors = errors;
        self
    }

    /// Leaves the header out where `value` cannot stand in one.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub(crate) fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}
