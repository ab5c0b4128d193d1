//! What can go wrong with an order, and how gRPC says it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

/// `domain` of every `ErrorInfo`.
const DOMAIN: &str = "throughline";
/// When to try again after something was unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Path in the request, for example `items[0].quantity`.
    pub(crate) field: String,
    /// What is allowed.
    pub(crate) description: String,
}

impl Violation {
    pub(crate) fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<Violation>),
    #[error("there is no order {0}")]
    NotFound(Uuid),
    /// Products of which there are fewer pieces than wanted.
    #[error("too little stock of {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    InsufficientStock(Vec<Uuid>),
    #[error("the idempotency key was used for another order")]
    IdempotencyKeyReused,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<diesel::result::Error> for OrderError {
    fn from(error: diesel::result::Error) -> Self {
        if db::pool::is_unavailable(&error) { Self::Unavailable(error.to_string()) } else { Self::Internal(error.to_string()) }
    }
}

impl From<db::pool::DatabaseUnavailable> for OrderError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        let text = error.to_string();
        match error {
            OrderError::Invalid(violations) => {
                let violations: Vec<_> = violations.into_iter().map(|it| FieldViolation::new(it.field, it.description)).collect();
                let details = ErrorDetails::with_bad_request(violations);
                Self::with_error_details(Code::InvalidArgument, "the request has wrong fields", details)
            }
            OrderError::NotFound(_) => Self::not_found(text),
            OrderError::InsufficientStock(products) => {
                let list = products.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let metadata = [("product_ids".to_owned(), list)];
                let details = ErrorDetails::with_error_info("INSUFFICIENT_STOCK", DOMAIN, metadata);
                Self::with_error_details(Code::FailedPrecondition, text, details)
            }
            OrderError::IdempotencyKeyReused => {
                let details = ErrorDetails::with_error_info("IDEMPOTENCY_KEY_REUSED", DOMAIN, []);
                Self::with_error_details(Code::FailedPrecondition, text, details)
            }
            OrderError::Unavailable(cause) => {
                tracing::warn!(cause, "unavailable");
                let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
                Self::with_error_details(Code::Unavailable, "a dependency is unavailable", details)
            }
            OrderError::Internal(cause) => {
                tracing::error!(cause, "internal error");
                Self::internal("internal error")
            }
        }
    }
}
