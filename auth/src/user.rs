//! A user, and who can be one. No input or output.

use chassis::status::Violation;
use chrono::{DateTime, Utc};
use garde::Validate;
use prost_types::Timestamp;
use proto::auth::RegisterRequest;
use uuid::Uuid;

use crate::error::AuthError;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
}

/// What somebody registers with: checked, the address in lower case.
#[derive(Validate)]
pub(crate) struct Registration {
    #[garde(custom(check_username))]
    pub(crate) username: String,
    #[garde(custom(check_email))]
    pub(crate) email: String,
    #[garde(custom(check_password))]
    pub(crate) password: String,
}

impl Registration {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(request: RegisterRequest) -> Result<Self, AuthError> {
        let registration = Self { username: request.username, email: normalised(&request.email), password: request.password };
        registration.validate().map_err(|report| {
            AuthError::Invalid(report.iter().map(|(path, error)| Violation::new(path.to_string(), error.message())).collect())
        })?;
        Ok(registration)
    }
}

/// The form in which addresses are kept and compared.
pub(crate) fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}

fn check_username(text: &str, (): &()) -> garde::Result {
    let length = 3..=32;
    let good = length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if good { Ok(()) } else { Err(garde::Error::new("must be 3 to 32 letters, digits, `_`, `-` and `.`")) }
}

/// Whether it can be somebody's address. What cannot (a NUL, for one) is no text for Postgres either.
pub(crate) fn is_email(text: &str) -> bool {
    text.len() <= 254 && garde::rules::email::parse_email(text).is_ok()
}

fn check_email(text: &str, (): &()) -> garde::Result {
    if is_email(text) { Ok(()) } else { Err(garde::Error::new("must be an e-mail address of at most 254 characters")) }
}

fn check_password(text: &str, (): &()) -> garde::Result {
    // NIST SP 800-63B: length counts, composition does not
    if (12..=128).contains(&text.chars().count()) { Ok(()) } else { Err(garde::Error::new("must be 12 to 128 characters")) }
}

impl From<User> for proto::auth::User {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            username: user.username,
            email: user.email,
            created_at: Some(timestamp(user.created_at)),
            role: user.role,
        }
    }
}

/// A moment as protobuf has it.
pub(crate) fn timestamp(moment: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: moment.timestamp(), nanos: i32::try_from(moment.timestamp_subsec_nanos()).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_fields(username: &str, email: &str, password: &str) -> Vec<String> {
        let request = RegisterRequest { username: username.into(), email: email.into(), password: password.into() };
        match Registration::new(request) {
            Err(AuthError::Invalid(fields)) => fields.into_iter().map(|violation| violation.field).collect(),
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert_eq!(wrong_fields("a", "nobody", "short"), ["email", "password", "username"]);
        assert_eq!(wrong_fields("Ada.Lovelace_1", " Ada@Example.COM ", "a long pass phrase"), [""; 0]);
        assert_eq!(wrong_fields("ada lovelace", "ada@example.com", "a long pass phrase"), ["username"]);
    }
}
