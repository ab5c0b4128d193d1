//! Accounts, sessions and the caller itself.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, LOCATION},
    web::Json,
};
use proto::auth::{DeleteSessionRequest, GetSessionRequest, LogoutRequest};

use crate::{
    account::{Login, Refresh, Register, Tokens},
    body::Body,
    caller::{By, Caller, Me, bearer_token},
    error::Error,
    limits::client_address,
    page::InPath,
    session::{Session, SessionId},
    upstream::Calls,
    user::User,
};

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = Register,
    responses((status = 201, description = "The account", body = User)))]
pub(super) async fn register(calls: Calls, Body(form): Body<Register>) -> Result<HttpResponse, Error> {
    let user: User = calls.register(form.into()).await?.user.try_into()?;
    Ok(HttpResponse::Created().insert_header((LOCATION, location(&user))).json(user))
}

/// Opens a session and answers with its tokens.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, description = "The session and its tokens", body = Tokens)))]
pub(super) async fn login(request: HttpRequest, calls: Calls, Body(form): Body<Login>) -> Result<HttpResponse, Error> {
    let tokens = log_in(&request, &calls, form).await?;
    // RFC 6749, section 5.1
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(tokens))
}

/// Exchanges a refresh token, which serves once, for new tokens. One that comes back ends its session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, description = "New tokens of the same session", body = Tokens)))]
pub(super) async fn refresh(calls: Calls, Body(form): Body<Refresh>) -> Result<HttpResponse, Error> {
    let tokens: Tokens = calls.refresh_token(form.into()).await?.try_into()?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(tokens))
}

/// Ends the session of the access token, and its refresh token with it.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "The session has ended")))]
pub(super) async fn logout(request: HttpRequest, calls: Calls) -> Result<HttpResponse, Error> {
    calls.logout(LogoutRequest { access_token: bearer_token(&request)? }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who is calling, as the token says.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The caller", body = Me)))]
pub(super) async fn me(by: By<Caller, ()>) -> Result<Json<Me>, Error> {
    by.who.try_into().map(Json)
}

/// Opens a session, as a login does.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = Login,
    responses((status = 201, description = "The session and its tokens", body = Tokens)))]
pub(super) async fn open_session(request: HttpRequest, calls: Calls, Body(form): Body<Login>) -> Result<HttpResponse, Error> {
    let tokens = log_in(&request, &calls, form).await?;
    let location = format!("/api/v1/sessions/{}", tokens.session_id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).insert_header((CACHE_CONTROL, "no-store")).json(tokens))
}

/// A session of the caller's; of anybody's for admins.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}", tag = "sessions", security(("bearer" = [])),
    params(("session_id" = SessionId, Path)), responses((status = 200, description = "The session", body = Session)))]
pub(super) async fn session(calls: Calls, by: By<Caller, InPath<SessionId>>) -> Result<Json<Session>, Error> {
    let answer = calls.get_session(GetSessionRequest { session_id: by.input.0.into() }).await?;
    Ok(Json(answer.try_into()?))
}

/// Ends a session of the caller's; of anybody's for admins.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}", tag = "sessions", security(("bearer" = [])),
    params(("session_id" = SessionId, Path)), responses((status = 204, description = "The session has ended")))]
pub(super) async fn end_session(calls: Calls, by: By<Caller, InPath<SessionId>>) -> Result<HttpResponse, Error> {
    calls.delete_session(DeleteSessionRequest { session_id: by.input.0.into() }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Where a user can be read.
pub(super) fn location(user: &User) -> String {
    format!("/api/v1/users/{}", user.user_id)
}

async fn log_in(request: &HttpRequest, calls: &Calls, form: Login) -> Result<Tokens, Error> {
    let client = client_address(request).map(|address| address.to_string()).unwrap_or_default();
    calls.login(form.into_request(client)).await?.try_into()
}
