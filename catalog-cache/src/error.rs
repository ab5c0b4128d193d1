//! What can go wrong with a request, and how gRPC says it.

use chassis::status::{self, Violation};
use tonic::{Code, Status};
use uuid::Uuid;

/// Why a request was not fulfilled. Cloned for all who wait for the same load.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<Violation>),
    /// Of which kind, and which.
    #[error("there is no {0} {1}")]
    NotFound(&'static str, Uuid),
    #[error("another product has this SKU")]
    SkuTaken,
    #[error("it has changed: the current version is {current}")]
    VersionMismatch { current: i64 },
    #[error("only its author or an admin may do this")]
    NotYours,
    #[error("{0}")]
    Unavailable(String),
    /// Redis is away, and as many as may ask Postgres instead.
    #[error("redis is away and postgres has enough to do")]
    Overloaded,
    #[error("{0}")]
    Internal(String),
}

impl CatalogError {
    /// True where it is certain that nothing was written.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::NotFound(..) | Self::SkuTaken | Self::VersionMismatch { .. } | Self::NotYours => true,
            Self::Unavailable(_) | Self::Overloaded | Self::Internal(_) => false,
        }
    }

    /// True where Postgres did not answer.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Overloaded)
    }
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

impl From<chassis::redis::RedisUnavailable> for CatalogError {
    fn from(error: chassis::redis::RedisUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<bb8_redis::redis::RedisError> for CatalogError {
    fn from(error: bb8_redis::redis::RedisError) -> Self {
        Self::Unavailable(format!("redis: {error}"))
    }
}

impl From<CatalogError> for Status {
    fn from(error: CatalogError) -> Self {
        let text = error.to_string();
        let refused = |code: Code, reason: &str, facts: Option<(&str, String)>| {
            status::refused(code, text.clone(), reason, facts.map(|(name, value)| (name.to_owned(), value)))
        };
        match error {
            CatalogError::Invalid(violations) => status::invalid(violations),
            CatalogError::NotFound(..) => Self::not_found(text),
            CatalogError::SkuTaken => refused(Code::AlreadyExists, "SKU_TAKEN", Some(("field", "product.sku".into()))),
            CatalogError::VersionMismatch { current } => refused(Code::Aborted, "VERSION_MISMATCH", Some(("version", current.to_string()))),
            CatalogError::NotYours => refused(Code::PermissionDenied, "NOT_YOURS", None),
            CatalogError::Unavailable(cause) => status::unavailable(&cause),
            CatalogError::Overloaded => status::unavailable(&text),
            CatalogError::Internal(cause) => status::internal(&cause),
        }
    }
}
