//! Accounts and the tokens that stand for them.

use proto::auth::{LoginRequest, LoginResponse, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Error,
    field::{Form, Object, text_field},
    user::User,
};

fn is_username(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

pub(crate) fn is_email(text: &str) -> bool {
    garde::rules::email::parse_email(text).is_ok()
}

text_field!(
    Username, 3 to 32, "must be 3 to 32 characters: letters, digits, `_`, `-` and `.`",
    like "^[A-Za-z0-9_.-]{3,32}$" when is_username
);
text_field!(
    Email, 3 to 254, "must be an e-mail address of at most 254 characters",
    like r"^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$" when is_email
);
text_field!(NewPassword, 12 to 128, "must be 12 to 128 characters");
text_field!(
    /// Whatever somebody takes for a password: a short one is wrong, not malformed.
    TriedPassword, 1 to 128, "must be 1 to 128 characters"
);
text_field!(
    /// What a login or a refresh answered with.
    RefreshTokenText, 1 to 512, "must be a refresh_token, at most 512 characters"
);

/// `POST /auth/register`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
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

/// `POST /auth/login`, `POST /sessions`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
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

impl Login {
    /// The call that logs in; `client_address` is for the throttle.
    pub(crate) fn into_request(self, client_address: String) -> LoginRequest {
        LoginRequest { email: self.email.0, password: self.password.0, client_address }
    }
}

/// `POST /auth/refresh`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: RefreshTokenText,
}

impl Form for Refresh {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        Some(Self { refresh_token: object.field("refresh_token")? })
    }
}

impl From<Refresh> for RefreshTokenRequest {
    fn from(form: Refresh) -> Self {
        Self { refresh_token: form.refresh_token.0 }
    }
}

/// An opened session and its tokens (the members of RFC 6749, section 5.1, and ours).
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    user: User,
    #[schema(format = Uuid)]
    pub(crate) session_id: String,
    /// A JWT.
    access_token: String,
    /// Opaque; serves once.
    refresh_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

impl TryFrom<LoginResponse> for Tokens {
    type Error = Error;

    fn try_from(login: LoginResponse) -> Result<Self, Error> {
        let LoginResponse { user, access_token, refresh_token, expires_in, session_id } = login;
        Ok(Self { user: user.try_into()?, session_id, access_token, refresh_token, token_type: "Bearer", expires_in })
    }
}

impl TryFrom<RefreshTokenResponse> for Tokens {
    type Error = Error;

    fn try_from(refreshed: RefreshTokenResponse) -> Result<Self, Error> {
        let RefreshTokenResponse { user, access_token, refresh_token, expires_in, session_id } = refreshed;
        LoginResponse { user, access_token, refresh_token, expires_in, session_id }.try_into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
