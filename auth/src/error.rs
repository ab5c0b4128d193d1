//! What can go wrong with who is calling, and how gRPC says it.

use chassis::status::{self, Violation};
use tonic::{Code, Status};

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("the request has wrong fields: {0:?}")]
    Invalid(Vec<Violation>),
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
            status::refused(code, text.clone(), reason, field.map(|name| ("field".to_owned(), name.to_owned())))
        };
        match error {
            AuthError::Invalid(violations) => status::invalid(violations),
            AuthError::Taken("username") => refused(Code::AlreadyExists, "USERNAME_TAKEN", Some("username")),
            AuthError::Taken(field) => refused(Code::AlreadyExists, "EMAIL_TAKEN", Some(field)),
            AuthError::WrongCredentials => refused(Code::Unauthenticated, "WRONG_CREDENTIALS", None),
            AuthError::TokenInvalid => refused(Code::Unauthenticated, "TOKEN_INVALID", None),
            AuthError::TokenExpired => refused(Code::Unauthenticated, "TOKEN_EXPIRED", None),
            AuthError::SessionEnded => refused(Code::Unauthenticated, "SESSION_ENDED", None),
            AuthError::Unavailable(cause) => status::unavailable(&cause),
            AuthError::Internal(cause) => status::internal(&cause),
        }
    }
}
