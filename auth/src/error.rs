//! What can go wrong with who is calling, and how gRPC says it.

use std::time::Duration;

use chassis::status::{self, Violation};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

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
    #[error("there were too many failed logins: try again later")]
    Throttled(Duration),
    #[error("an access token is needed: `authorization: Bearer TOKEN`")]
    TokenMissing,
    #[error("the token is not valid")]
    TokenInvalid,
    #[error("the access token has expired")]
    TokenExpired,
    #[error("the refresh token was used before: its session has been ended")]
    TokenReused,
    #[error("the session has ended")]
    SessionEnded,
    #[error("only admins may do this")]
    AdminRequired,
    #[error("only the user itself and admins may do this")]
    NotYours,
    /// What there is not.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The current version.
    #[error("the account has changed: its version is {0}")]
    VersionMismatch(i64),
    #[error("this is the last admin")]
    LastAdmin,
    #[error("the room {0} was not joined")]
    RoomNotJoined(String),
    #[error("a stream may join {0} rooms at most")]
    TooManyRooms(usize),
    #[error("what was sent was not read in time")]
    SubscriberTooSlow,
    #[error("the service is stopping")]
    Stopping,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<Violation> for AuthError {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<diesel::result::Error> for AuthError {
    fn from(error: diesel::result::Error) -> Self {
        // two who swap their names wait for each other: neither is at fault
        let is_deadlock = matches!(&error, diesel::result::Error::DatabaseError(_, about) if about.message().contains("deadlock detected"));
        if is_deadlock || db::pool::is_unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Internal(error.to_string())
        }
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

impl From<events::tail::TailUnavailable> for AuthError {
    fn from(error: events::tail::TailUnavailable) -> Self {
        Self::Unavailable(error.to_string())
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
        let refused = |code: Code, reason: &str| status::refused(code, text.clone(), reason, None);
        let about = |code: Code, reason: &str, key: &str, value: &str| {
            status::refused(code, text.clone(), reason, [(key.to_owned(), value.to_owned())])
        };
        match error {
            AuthError::Invalid(violations) => status::invalid(violations),
            AuthError::Taken("username") => about(Code::AlreadyExists, "USERNAME_TAKEN", "field", "username"),
            AuthError::Taken(field) => about(Code::AlreadyExists, "EMAIL_TAKEN", "field", field),
            AuthError::WrongCredentials => refused(Code::Unauthenticated, "WRONG_CREDENTIALS"),
            AuthError::Throttled(wait) => throttled(&text, wait),
            AuthError::TokenMissing => refused(Code::Unauthenticated, "TOKEN_MISSING"),
            AuthError::TokenInvalid => refused(Code::Unauthenticated, "TOKEN_INVALID"),
            AuthError::TokenExpired => refused(Code::Unauthenticated, "TOKEN_EXPIRED"),
            AuthError::TokenReused => refused(Code::Unauthenticated, "TOKEN_REUSED"),
            AuthError::SessionEnded => refused(Code::Unauthenticated, "SESSION_ENDED"),
            AuthError::AdminRequired => refused(Code::PermissionDenied, "ADMIN_REQUIRED"),
            AuthError::NotYours => refused(Code::PermissionDenied, "NOT_YOURS"),
            AuthError::NotFound(_) => Self::not_found(text),
            AuthError::VersionMismatch(version) => about(Code::Aborted, "VERSION_MISMATCH", "version", &version.to_string()),
            AuthError::LastAdmin => refused(Code::FailedPrecondition, "LAST_ADMIN"),
            AuthError::RoomNotJoined(room) => about(Code::FailedPrecondition, "ROOM_NOT_JOINED", "room", &room),
            AuthError::TooManyRooms(_) => refused(Code::ResourceExhausted, "TOO_MANY_ROOMS"),
            AuthError::SubscriberTooSlow => refused(Code::ResourceExhausted, "SUBSCRIBER_TOO_SLOW"),
            AuthError::Stopping => retry(Code::Unavailable, &text, ErrorDetails::new(), Duration::from_secs(1)),
            AuthError::Unavailable(cause) => status::unavailable(&cause),
            AuthError::Internal(cause) => status::internal(&cause),
        }
    }
}

fn throttled(text: &str, wait: Duration) -> Status {
    let mut details = ErrorDetails::new();
    // the domain of all our reasons: see chassis::status
    details.set_error_info("LOGIN_THROTTLED", "throughline", std::collections::HashMap::<String, String>::new());
    retry(Code::ResourceExhausted, text, details, wait)
}

fn retry(code: Code, text: &str, mut details: ErrorDetails, wait: Duration) -> Status {
    details.set_retry_info(Some(wait));
    Status::with_error_details(code, text, details)
}
