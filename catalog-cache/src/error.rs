//! What can go wrong with a read, and how gRPC says it.

use chassis::status::{self, Violation};
use tonic::Status;
use uuid::Uuid;

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
            CatalogError::Invalid(violations) => status::invalid(violations),
            CatalogError::NotFound(_) => Self::not_found(text),
            CatalogError::Unavailable(cause) => status::unavailable(&cause),
            CatalogError::Internal(cause) => status::internal(&cause),
        }
    }
}
