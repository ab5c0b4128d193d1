//! Who is calling, and whether they may.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION};
use prost_types::Timestamp;
use proto::{
    auth::{ValidateTokenRequest, ValidateTokenResponse},
    catalog::Actor,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Error,
    middleware::is_visible,
    time::moment,
    upstream::{AUTH, Calls},
};

/// The user whose access token came with the request and is valid right now.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) username: String,
    pub(crate) email: String,
    role: String,
    session_id: String,
    expires_at: Option<Timestamp>,
}

/// Who is calling, as their token says: what has changed since shows with the next refresh.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    #[schema(format = Uuid)]
    user_id: String,
    username: String,
    email: String,
    /// `user` or `admin`.
    role: String,
    #[schema(format = Uuid)]
    session_id: String,
    /// When the access token expires.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl TryFrom<Caller> for Me {
    type Error = Error;

    fn try_from(caller: Caller) -> Result<Self, Error> {
        let Caller { user_id, username, email, role, session_id, expires_at } = caller;
        Ok(Self { user_id, username, email, role, session_id, expires_at: moment(expires_at, AUTH, "expires_at")? })
    }
}

/// A caller of role `admin`.
#[derive(Debug, Clone)]
pub(crate) struct Admin;

/// A caller who is the user, or the customer, in the path, or of role `admin`.
#[derive(Debug, Clone)]
pub(crate) struct SelfOrAdmin;

/// What a caller has to be.
pub(crate) trait Who: Sized {
    /// Lets a caller pass, or says why not.
    fn admit(caller: Caller, request: &HttpRequest) -> Result<Self, Error>;
}

impl Who for Caller {
    fn admit(caller: Caller, _: &HttpRequest) -> Result<Self, Error> {
        Ok(caller)
    }
}

impl Who for Admin {
    fn admit(caller: Caller, _: &HttpRequest) -> Result<Self, Error> {
        if caller.is_admin() { Ok(Self) } else { Err(Error::Forbidden("Only admins may do this.")) }
    }
}

impl Who for SelfOrAdmin {
    fn admit(caller: Caller, request: &HttpRequest) -> Result<Self, Error> {
        let (_, id) = request.match_info().iter().next().unwrap_or_default();
        let itself = id.eq_ignore_ascii_case(&caller.user_id);
        if itself || caller.is_admin() { Ok(Self) } else { Err(Error::Forbidden("Only the user itself and admins may do this.")) }
    }
}

/// What a caller sends, read only once it is known who calls and that they may: a stranger learns nothing about what is
/// valid, and costs no reading.
pub(crate) struct By<W, T> {
    pub(crate) who: W,
    pub(crate) input: T,
}

impl Caller {
    pub(crate) fn is_admin(&self) -> bool {
        self.role == "admin"
    }

    /// Whose things this caller sees where it does not say whose: its own, or for an admin everybody's, which is empty.
    pub(crate) fn scope(&self) -> String {
        if self.is_admin() { String::new() } else { self.user_id.clone() }
    }

    async fn of(request: &HttpRequest) -> Result<Self, Error> {
        let calls = Calls::of(request)?;
        let token = bearer_token(request)?;
        let valid = calls.validate_token(ValidateTokenRequest { access_token: token.clone() }).await?;
        calls.act_for(&token);
        let ValidateTokenResponse { user_id, session_id, username, email, role, expires_at } = valid;
        Ok(Self { user_id, username, email, role, session_id, expires_at })
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        Self { user_id: caller.user_id, username: caller.username, role: caller.role }
    }
}

/// The token of `Authorization: Bearer TOKEN`. RFC 6750, section 2.1.
pub(crate) fn bearer_token(request: &HttpRequest) -> Result<String, Error> {
    const MOST_CHARACTERS: usize = 8192;
    let credentials = request.headers().get(AUTHORIZATION).ok_or(Error::NoToken)?.to_str().map_err(|_| Error::NoSuchToken)?;
    let (scheme, token) = credentials.split_once(' ').unwrap_or((credentials, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::NoToken);
    }
    let token = token.trim();
    if is_visible(token.as_bytes(), MOST_CHARACTERS) { Ok(token.to_owned()) } else { Err(Error::NoSuchToken) }
}

impl<W: Who + 'static, T: FromRequest + 'static> FromRequest for By<W, T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let who = W::admit(Caller::of(&request).await?, &request)?;
            let input = T::from_request(&request, &mut payload).await.map_err(Into::into)?;
            Ok(Self { who, input })
        })
    }
}
