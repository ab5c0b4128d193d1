//! A user, and who can be one. No input or output.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::status::Violation;
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::auth::{CreateUsersRequest, RegisterRequest, UpdateUserRequest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{error::AuthError, lifetime::EndReason};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Reads accounts and changes its own.
    User,
    /// Changes everybody's.
    Admin,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
}

/// What an account is made of: checked, the address in lower case. Has no `Debug`, since it holds a password.
pub(crate) struct Registration {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) role: Role,
}

impl Registration {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(request: RegisterRequest) -> Result<Self, AuthError> {
        Self::read(request.username, &request.email, request.password, Some(Role::User))
    }

    /// Checks one of many that an admin makes; every mistake is named.
    pub(crate) fn by_admin(request: CreateUsersRequest) -> Result<Self, AuthError> {
        let role = if request.role.is_empty() { Some(Role::User) } else { Role::read(&request.role) };
        Self::read(request.username, &request.email, request.password, role)
    }

    fn read(username: String, email: &str, password: String, role: Option<Role>) -> Result<Self, AuthError> {
        let email = normalised(email);
        let mistakes = [username_mistake(&username), email_mistake(&email), password_mistake(&password)];
        let mut violations: Vec<_> = mistakes.into_iter().flatten().collect();
        violations.extend(role.is_none().then(role_mistake));
        match role {
            Some(role) if violations.is_empty() => Ok(Self { username, email, password, role }),
            _ => Err(AuthError::Invalid(violations)),
        }
    }
}

/// What is to become of an account: checked. Has no `Debug`, since it may hold a password.
pub(crate) struct Change {
    pub(crate) user_id: Uuid,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) role: Option<Role>,
    /// The version that it is meant for.
    pub(crate) version: Option<i64>,
}

impl Change {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(request: UpdateUserRequest) -> Result<Self, AuthError> {
        let UpdateUserRequest { user_id, username, email, password, role, version } = request;
        let email = email.as_deref().map(normalised);
        let mut violations = Vec::new();
        let user_id = read_id("user_id", &user_id).unwrap_or_else(|violation| {
            violations.push(violation);
            Uuid::nil()
        });
        violations.extend(username.as_deref().and_then(username_mistake));
        violations.extend(email.as_deref().and_then(email_mistake));
        violations.extend(password.as_deref().and_then(password_mistake));
        let wanted = role.as_deref().and_then(Role::read);
        violations.extend((role.is_some() && wanted.is_none()).then(role_mistake));
        if version.is_some_and(|version| version < 1) {
            violations.push(Violation::new("version", "must be at least 1"));
        }
        if violations.is_empty() {
            Ok(Self { user_id, username, email, password, role: wanted, version })
        } else {
            Err(AuthError::Invalid(violations))
        }
    }

    /// Whether the account would be another one afterwards.
    pub(crate) fn differs_from(&self, user: &User) -> bool {
        self.username.as_ref().is_some_and(|name| *name != user.username)
            || self.email.as_ref().is_some_and(|email| *email != user.email)
            || self.ends_sessions(user).is_some()
    }

    /// Why sessions end with it, if they do: tokens that were given out before must not outlast a password or a role.
    pub(crate) fn ends_sessions(&self, user: &User) -> Option<EndReason> {
        if self.password.is_some() {
            return Some(EndReason::PasswordChanged);
        }
        self.role.filter(|role| *role != user.role).map(|_| EndReason::RoleChanged)
    }

    /// Whether an admin would be none afterwards.
    pub(crate) fn demotes(&self, user: &User) -> bool {
        user.role == Role::Admin && self.role == Some(Role::User)
    }
}

/// The form in which addresses are kept and compared.
pub(crate) fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The id that stands in `field`.
pub(crate) fn read_id(field: &str, text: &str) -> Result<Uuid, Violation> {
    text.parse().map_err(|_| Violation::new(field, "must be a UUID"))
}

/// The token that goes on after a user in a list, which is in the order of ids.
pub(crate) fn token_after(user_id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(user_id)
}

/// The user after which a list goes on; none where it begins.
pub(crate) fn read_token(token: &str) -> Result<Option<Uuid>, Violation> {
    if token.is_empty() {
        return Ok(None);
    }
    let id = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    id.map(Some).ok_or_else(|| Violation::new("page_token", "must be the page_token of the last user that was seen, or empty"))
}

pub(crate) fn username_mistake(text: &str) -> Option<Violation> {
    let good = (3..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    (!good).then(|| Violation::new("username", "must be 3 to 32 letters, digits, `_`, `-` and `.`"))
}

/// Whether it can be somebody's address. What cannot (a NUL, for one) is no text for Postgres either.
pub(crate) fn is_email(text: &str) -> bool {
    text.len() <= 254 && garde::rules::email::parse_email(text).is_ok()
}

pub(crate) fn email_mistake(text: &str) -> Option<Violation> {
    (!is_email(text)).then(|| Violation::new("email", "must be an e-mail address of at most 254 characters"))
}

fn password_mistake(text: &str) -> Option<Violation> {
    // NIST SP 800-63B: length counts, composition does not
    (!(12..=128).contains(&text.chars().count())).then(|| Violation::new("password", "must be 12 to 128 characters"))
}

fn role_mistake() -> Violation {
    Violation::new("role", "must be `user` or `admin`")
}

impl From<User> for proto::auth::User {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            username: user.username,
            email: user.email,
            created_at: Some(timestamp(user.created_at)),
            role: user.role.as_str().to_owned(),
            version: user.version,
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

    fn fields<T>(result: Result<T, AuthError>) -> Vec<String> {
        match result {
            Err(AuthError::Invalid(fields)) => fields.into_iter().map(|violation| violation.field).collect(),
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        }
    }

    fn wrong_fields(username: &str, email: &str, password: &str) -> Vec<String> {
        fields(Registration::new(RegisterRequest { username: username.into(), email: email.into(), password: password.into() }))
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert_eq!(wrong_fields("a", "nobody", "short"), ["username", "email", "password"]);
        assert_eq!(wrong_fields("Ada.Lovelace_1", " Ada@Example.COM ", "a long pass phrase"), [""; 0]);
        assert_eq!(wrong_fields("ada lovelace", "ada@example.com", "a long pass phrase"), ["username"]);
        let item = CreateUsersRequest { role: "root".into(), ..CreateUsersRequest::default() };
        assert_eq!(fields(Registration::by_admin(item)), ["username", "email", "password", "role"]);
    }

    #[test]
    fn a_change_is_checked_where_it_changes_something() {
        let text = |text: &str| Some(text.to_owned());
        let nothing = UpdateUserRequest { user_id: Uuid::nil().to_string(), ..UpdateUserRequest::default() };
        assert_eq!(fields(Change::new(nothing)), [""; 0]);
        let all = UpdateUserRequest {
            user_id: "x".into(),
            username: text(""),
            email: text("\0"),
            password: text(""),
            role: text(""),
            version: Some(0),
        };
        assert_eq!(fields(Change::new(all)), ["user_id", "username", "email", "password", "role", "version"]);
    }

    #[test]
    fn only_a_password_and_another_role_end_sessions() {
        let (user_id, created_at) = (Uuid::nil(), Utc::now());
        let user = User { user_id, username: "ada".into(), email: "a@b.c".into(), role: Role::Admin, version: 1, created_at };
        let nothing = || Change { user_id, username: None, email: None, password: None, role: None, version: None };
        let cases = [
            (nothing(), false, None),
            (Change { username: Some("ada".into()), ..nothing() }, false, None),
            (Change { username: Some("eve".into()), ..nothing() }, true, None),
            (Change { email: Some("x@b.c".into()), ..nothing() }, true, None),
            (Change { password: Some(String::new()), ..nothing() }, true, Some(EndReason::PasswordChanged)),
            (Change { role: Some(Role::Admin), ..nothing() }, false, None),
            (Change { role: Some(Role::User), ..nothing() }, true, Some(EndReason::RoleChanged)),
        ];
        for (change, differs, ends) in cases {
            assert_eq!((change.differs_from(&user), change.ends_sessions(&user)), (differs, ends));
        }
    }

    #[test]
    fn a_list_goes_on_where_its_token_says() {
        let id = Uuid::now_v7();
        assert_eq!((read_token(""), read_token(&token_after(id))), (Ok(None), Ok(Some(id))));
        for token in ["?", "AAAA", &id.to_string()] {
            assert_eq!(read_token(token).unwrap_err().field, "page_token");
        }
    }
}
