//! What can go wrong with a read, and how gRPC says it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

/// When to try again after something was unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Path in the request, for example `product_ids[3]`.
    pub(crate) field: String,
    /// What is allowed.
    pub(crate) description: String,
}

impl Violation {
    pub(crate) fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Why a request was not fulfilled. Cloned for all who wait for the same load.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<Violation>),
    #[error("there is no product {0}")]
    NotFound(Uuid),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<Violation> for CatalogError {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<diesel::result::Error> for CatalogError {
    fn from(error: diesel::result::Error) -> Self {
        if db::pool::is_unavailable(&error) { Self::Unavailable(error.to_string()) } else { Self::Internal(error.to_string()) }
    }
}

impl From<db::pool::DatabaseUnavailable> for CatalogError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<CatalogError> for Status {
    fn from(error: CatalogError) -> Self {
        let text = error.to_string();
        match error {
            CatalogError::Invalid(violations) => {
                let violations: Vec<_> = violations.into_iter().map(|it| FieldViolation::new(it.field, it.description)).collect();
                let details = ErrorDetails::with_bad_request(violations);
                Self::with_error_details(Code::InvalidArgument, "the request has wrong fields", details)
            }
            CatalogError::NotFound(_) => Self::not_found(text),
            CatalogError::Unavailable(cause) => {
                tracing::warn!(cause, "unavailable");
                let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
                Self::with_error_details(Code::Unavailable, "a dependency is unavailable", details)
            }
            CatalogError::Internal(cause) => {
                tracing::error!(cause, "internal error");
                Self::internal("internal error")
            }
        }
    }
}
