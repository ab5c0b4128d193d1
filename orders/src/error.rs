//! What can go wrong with an order, and how gRPC says it.

use chassis::status::{self, Violation};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::status::{Status as OrderStatus, list};

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<Violation>),
    /// What is looked for, and by which id.
    #[error("there is no {0} {1}")]
    NotFound(&'static str, Uuid),
    /// Products of which there are fewer pieces than wanted.
    #[error("too little stock of {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    InsufficientStock(Vec<Uuid>),
    #[error("the idempotency key was used for another order")]
    IdempotencyKeyReused,
    /// The status that the order has.
    #[error("the order is {}: it may become {}", .0, allowed(*.0))]
    StepForbidden(OrderStatus),
    /// The version that the order, or the stock, has.
    #[error("it has changed since it was read: its version is {0}")]
    VersionMismatch(i64),
    #[error("another customer has this e-mail address")]
    EmailTaken,
    /// Others changed the same rows at the same moment; nothing was done, and the same may be asked again.
    #[error("others were in the way: {0}")]
    Conflict(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

fn allowed(status: OrderStatus) -> String {
    if status.next().is_empty() { "nothing else".into() } else { list(status.next()).replace(',', " or ") }
}

impl From<diesel::result::Error> for OrderError {
    fn from(error: diesel::result::Error) -> Self {
        let text = error.to_string();
        if db::pool::is_conflict(&error) {
            Self::Conflict(text)
        } else if db::pool::is_unavailable(&error) {
            Self::Unavailable(text)
        } else {
            Self::Internal(text)
        }
    }
}

impl From<db::pool::DatabaseUnavailable> for OrderError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<serde_json::Error> for OrderError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        let text = error.to_string();
        let refused = |code: Code, reason: &str, metadata: &[(&str, String)]| {
            let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            status::refused(code, text.clone(), reason, metadata)
        };
        match error {
            OrderError::Invalid(violations) => status::invalid(violations),
            OrderError::NotFound(..) => Self::not_found(text),
            OrderError::InsufficientStock(products) => {
                let list = products.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                refused(Code::FailedPrecondition, "INSUFFICIENT_STOCK", &[("product_ids", list)])
            }
            OrderError::IdempotencyKeyReused => refused(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", &[]),
            OrderError::StepForbidden(now) => {
                let metadata = [("status", now.to_string()), ("allowed", list(now.next()))];
                refused(Code::FailedPrecondition, "STATUS_STEP_FORBIDDEN", &metadata)
            }
            OrderError::VersionMismatch(now) => refused(Code::Aborted, "VERSION_MISMATCH", &[("version", now.to_string())]),
            OrderError::EmailTaken => refused(Code::AlreadyExists, "EMAIL_TAKEN", &[("field", "email".to_owned())]),
            OrderError::Conflict(_) => status::unavailable(&text),
            OrderError::Unavailable(cause) => status::unavailable(&cause),
            OrderError::Internal(cause) => status::internal(&cause),
        }
    }
}
