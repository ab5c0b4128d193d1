//! What can go wrong with who is calling, and how gRPC says it.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// `domain` of every `ErrorInfo`.
const DOMAIN: &str = "throughline";
/// When to try again after something was unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// Fields and what is allowed.
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<(String, String)>),
    /// `username` or `email`.
    #[error("this {0} is taken")]
    Taken(&'static str),
    /// Nobody learns whether the address or the password was wrong.
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    #[error("the access token is not valid")]
    TokenInvalid,
    #[error("the access token has expired")]
    TokenExpired,
    #[error("the session has ended")]
    SessionEnded,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<diesel::result::Error> for AuthError {
    fn from(error: diesel::result::Error) -> Self {
        if db::pool::is_unavailable(&error) { Self::Unavailable(error.to_string()) } else { Self::Internal(error.to_string()) }
    }
}

impl From<db::pool::DatabaseUnavailable> for AuthError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<chassis::redis::RedisUnavailable> for AuthError {
    fn from(error: chassis::redis::RedisUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<bb8_redis::redis::RedisError> for AuthError {
    fn from(error: bb8_redis::redis::RedisError) -> Self {
        Self::Unavailable(format!("redis: {error}"))
    }
}

impl From<serde_json::Error> for AuthError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        let text = error.to_string();
        let refused = |code: Code, reason: &str, field: Option<&str>| {
            let metadata: HashMap<String, String> = field.map(|name| ("field".to_owned(), name.to_owned())).into_iter().collect();
            Self::with_error_details(code, text.clone(), ErrorDetails::with_error_info(reason, DOMAIN, metadata))
        };
        match error {
            AuthError::Invalid(fields) => {
                let violations: Vec<_> = fields.into_iter().map(|(field, allowed)| FieldViolation::new(field, allowed)).collect();
                let details = ErrorDetails::with_bad_request(violations);
                Self::with_error_details(Code::InvalidArgument, "the request has wrong fields", details)
            }
            AuthError::Taken("username") => refused(Code::AlreadyExists, "USERNAME_TAKEN", Some("username")),
            AuthError::Taken(field) => refused(Code::AlreadyExists, "EMAIL_TAKEN", Some(field)),
            AuthError::WrongCredentials => refused(Code::Unauthenticated, "WRONG_CREDENTIALS", None),
            AuthError::TokenInvalid => refused(Code::Unauthenticated, "TOKEN_INVALID", None),
            AuthError::TokenExpired => refused(Code::Unauthenticated, "TOKEN_EXPIRED", None),
            AuthError::SessionEnded => refused(Code::Unauthenticated, "SESSION_ENDED", None),
            AuthError::Unavailable(cause) => {
                tracing::warn!(cause, "unavailable");
                let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
                Self::with_error_details(Code::Unavailable, "a dependency is unavailable", details)
            }
            AuthError::Internal(cause) => {
                tracing::error!(cause, "internal error");
                Self::internal("internal error")
            }
        }
    }
}
