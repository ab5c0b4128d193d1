//! What can go wrong with an order, and how gRPC says it.

use chassis::status::{self, Violation};
use tonic::{Code, Status};
use uuid::Uuid;

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
            OrderError::Invalid(violations) => status::invalid(violations),
            OrderError::NotFound(_) => Self::not_found(text),
            OrderError::InsufficientStock(products) => {
                let list = products.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                status::refused(Code::FailedPrecondition, text, "INSUFFICIENT_STOCK", [("product_ids".to_owned(), list)])
            }
            OrderError::IdempotencyKeyReused => status::refused(Code::FailedPrecondition, text, "IDEMPOTENCY_KEY_REUSED", []),
            OrderError::Unavailable(cause) => status::unavailable(&cause),
            OrderError::Internal(cause) => status::internal(&cause),
        }
    }
}
