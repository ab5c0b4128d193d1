//! Users.

use proto::auth::{CreateUsersFailure, CreateUsersRequest, UpdateUserRequest, User as ProtoUser};
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use utoipa::ToSchema;

use crate::{
    account::{Email, NewPassword, Username},
    error::Error,
    field::{Field, Form, Object, id_field},
    time::moment,
    upstream::{AUTH, failed},
};

id_field!(
    /// Which user.
    UserId
);

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    User,
    Admin,
}

impl Field for Role {
    const ALLOWED: &'static str = "must be user or admin";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        match role {
            Role::User => "user",
            Role::Admin => "admin",
        }
        .to_owned()
    }
}

/// `POST /users`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    username: Username,
    email: Email,
    password: NewPassword,
    role: Option<Role>,
}

impl Form for CreateUser {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (username, email, password) = (object.field("username"), object.field("email"), object.field("password"));
        let role = object.optional("role");
        Some(Self { username: username?, email: email?, password: password?, role: role? })
    }
}

impl From<CreateUser> for CreateUsersRequest {
    fn from(form: CreateUser) -> Self {
        let role = form.role.map(String::from).unwrap_or_default();
        Self { username: form.username.0, email: form.email.0, password: form.password.0, role }
    }
}

/// `PUT /users/{user_id}`: what is left out stays as it is.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateUser {
    username: Option<Username>,
    email: Option<Email>,
    /// Ends all sessions of the user.
    password: Option<NewPassword>,
    /// Admins only. Ends all sessions of the user.
    role: Option<Role>,
}

impl Form for UpdateUser {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (username, email, password) = (object.optional("username"), object.optional("email"), object.optional("password"));
        let role = object.optional("role");
        Some(Self { username: username?, email: email?, password: password?, role: role? })
    }
}

impl UpdateUser {
    /// The call that changes the user.
    pub(crate) fn into_request(self, id: UserId, version: Option<i64>) -> UpdateUserRequest {
        UpdateUserRequest {
            user_id: id.into(),
            username: self.username.map(|username| username.0),
            email: self.email.map(|email| email.0),
            password: self.password.map(|password| password.0),
            role: self.role.map(Into::into),
            version,
        }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API's own names")]
pub(crate) struct User {
    #[schema(format = Uuid)]
    pub(crate) user_id: String,
    username: String,
    /// Shown to the user itself and to admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// `user` or `admin`.
    role: String,
    #[schema(format = DateTime)]
    created_at: String,
    pub(crate) version: i64,
}

impl TryFrom<ProtoUser> for User {
    type Error = Error;

    fn try_from(user: ProtoUser) -> Result<Self, Error> {
        Ok(Self {
            user_id: user.user_id,
            username: user.username,
            email: Some(user.email).filter(|email| !email.is_empty()),
            role: user.role,
            created_at: moment(user.created_at, AUTH, "user.created_at")?,
            version: user.version,
        })
    }
}

impl TryFrom<Option<ProtoUser>> for User {
    type Error = Error;

    fn try_from(user: Option<ProtoUser>) -> Result<Self, Error> {
        user.ok_or(Error::BrokenAnswer { service: AUTH, what: "user" })?.try_into()
    }
}

/// Why one user of many was not made, as if it had been the only one.
pub(crate) fn refused(failure: CreateUsersFailure) -> Error {
    let violations = failure.field_violations.into_iter().map(|found| FieldViolation::new(found.field, found.description));
    let details = ErrorDetails::with_bad_request(violations.collect::<Vec<_>>());
    failed(AUTH, Status::with_error_details(Code::from_i32(failure.code), failure.message, details))
}
