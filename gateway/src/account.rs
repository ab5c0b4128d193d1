//! Accounts and the tokens that stand for them.

use proto::auth::{LoginRequest, LoginResponse, RegisterRequest, User as ProtoUser};
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Error,
    field::{Field, Form, Object, read_text},
    order::timestamp,
    upstream::AUTH,
};

struct Username(String);

impl Field for Username {
    const ALLOWED: &'static str = "must be 3 to 32 characters: letters, digits, `_`, `-` and `.`";

    fn read(value: &Value) -> Option<Self> {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        read_text(value, &(3..=32)).filter(|text| text.chars().all(is_allowed)).map(Self)
    }
}

struct Email(String);

impl Field for Email {
    const ALLOWED: &'static str = "must be an e-mail address of at most 254 characters";

    fn read(value: &Value) -> Option<Self> {
        read_text(value, &(3..=254)).filter(|text| garde::rules::email::parse_email(text).is_ok()).map(Self)
    }
}

struct NewPassword(String);

impl Field for NewPassword {
    const ALLOWED: &'static str = "must be 12 to 128 characters";

    fn read(value: &Value) -> Option<Self> {
        read_text(value, &(12..=128)).map(Self)
    }
}

/// Whatever somebody takes for a password: a short one is wrong, not malformed.
struct TriedPassword(String);

impl Field for TriedPassword {
    const ALLOWED: &'static str = "must be 1 to 128 characters";

    fn read(value: &Value) -> Option<Self> {
        read_text(value, &(1..=128)).map(Self)
    }
}

/// `POST /auth/register`
pub(crate) struct Register {
    username: Username,
    email: Email,
    password: NewPassword,
}

impl Form for Register {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (username, email, password) = (object.field("username"), object.field("email"), object.field("password"));
        Some(Self { username: username?, email: email?, password: password? })
    }
}

impl From<Register> for RegisterRequest {
    fn from(form: Register) -> Self {
        Self { username: form.username.0, email: form.email.0, password: form.password.0 }
    }
}

/// `POST /auth/login`
pub(crate) struct Login {
    email: Email,
    password: TriedPassword,
}

impl Form for Login {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (email, password) = (object.field("email"), object.field("password"));
        Some(Self { email: email?, password: password? })
    }
}

impl From<Login> for LoginRequest {
    fn from(form: Login) -> Self {
        Self { email: form.email.0, password: form.password.0 }
    }
}

/// A user, as shown to itself.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the API's own names")]
pub(crate) struct User {
    user_id: String,
    username: String,
    email: String,
    role: String,
    created_at: String,
}

impl TryFrom<Option<ProtoUser>> for User {
    type Error = Error;

    fn try_from(user: Option<ProtoUser>) -> Result<Self, Error> {
        let broken = |what| Error::BrokenAnswer { service: AUTH, what };
        let user = user.ok_or(broken("user"))?;
        let created_at = user.created_at.and_then(|at| timestamp(at.seconds, at.nanos)).ok_or(broken("user.created_at"))?;
        Ok(Self { user_id: user.user_id, username: user.username, email: user.email, role: user.role, created_at })
    }
}

/// An opened session (the members of RFC 6749, section 5.1).
#[derive(Serialize)]
pub(crate) struct Session {
    user: User,
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

impl TryFrom<LoginResponse> for Session {
    type Error = Error;

    fn try_from(session: LoginResponse) -> Result<Self, Error> {
        Ok(Self {
            user: session.user.try_into()?,
            access_token: session.access_token,
            refresh_token: session.refresh_token,
            token_type: "Bearer",
            expires_in: session.expires_in,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(body: &Value) -> Vec<String> {
        let violations = Object::read_body::<Register>(body).err();
        violations.map(|found| found.list().iter().map(|violation| violation.field.clone()).collect()).unwrap_or_default()
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        assert_eq!(wrong(&json!({"username": "a b", "email": "nobody", "password": 7})), ["username", "email", "password"]);
        assert_eq!(wrong(&json!({"email": null, "pasword": "x"})), ["username", "email", "password", "pasword"]);
        assert_eq!(wrong(&json!([])), ["body"]);
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        let body = |password: String| json!({"username": "ada", "email": "ada@example.org", "password": password});
        assert_eq!(wrong(&body("é".repeat(128))), [""; 0]);
        assert_eq!(wrong(&body("é".repeat(11))), ["password"]);
    }
}
