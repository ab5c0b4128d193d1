//! Users and their avatars.

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LOCATION,
    web::{Data, Json},
};
use futures::{StreamExt, stream};
use proto::auth::{DeleteUserRequest, GetAvatarRequest, GetUserRequest, ListUsersRequest, create_users_result};

use super::auth::location;
use crate::{
    avatar::{Avatar, Upload, download, require_multipart, upload},
    body::Body,
    caller::{Admin, By, Caller, SelfOrAdmin},
    conditional::{ExpectedVersion, Tagged},
    config::Limits,
    error::Error,
    page::{InPath, Page, PageQuery},
    post::{Post, by_author},
    query::InQuery,
    upstream::{AUTH, Calls, failed},
    user::{CreateUser, UpdateUser, User, UserId, refused},
};

/// Users in the order of their ids. Admins only.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "A page", body = Page<User>)))]
pub(super) async fn list(calls: Calls, by: By<Admin, InQuery<PageQuery>>) -> Result<Json<Page<User>>, Error> {
    let PageQuery { limit, cursor } = by.input.0;
    // one more than asked for tells whether there is a next page
    let mut users = calls.list_users(ListUsersRequest { limit: limit + 1, page_token: cursor }).await?;
    let (mut page, mut last, mut more) = (Vec::new(), String::new(), false);
    while let Some(next) = users.next().await {
        let next = next.map_err(|status| failed(AUTH, status))?;
        if page.len() == limit as usize {
            more = true;
            break;
        }
        last = next.page_token;
        page.push(next.user.ok_or(Error::BrokenAnswer { service: AUTH, what: "user" })?);
    }
    Ok(Json(Page::of(page, if more { last } else { String::new() })?))
}

/// Makes an account of any role. Admins only.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", security(("bearer" = [])), request_body = CreateUser,
    responses((status = 201, description = "The account", body = User)))]
pub(super) async fn create(calls: Calls, by: By<Admin, Body<CreateUser>>) -> Result<HttpResponse, Error> {
    let answer = calls.create_users(stream::iter([by.input.0.into()])).await?;
    let result = answer.results.into_iter().next().and_then(|result| result.result);
    let user = match result.ok_or(Error::BrokenAnswer { service: AUTH, what: "results[0]" })? {
        create_users_result::Result::User(user) => User::try_from(user)?,
        create_users_result::Result::Failure(failure) => return Err(refused(failure)),
    };
    Ok(HttpResponse::Created().insert_header((LOCATION, location(&user))).json(user))
}

/// A user; with the e-mail address for itself and for admins.
#[utoipa::path(get, path = "/api/v1/users/{user_id}", tag = "users", security(("bearer" = [])), params(("user_id" = UserId, Path)),
    responses((status = 200, description = "The user", body = User)))]
pub(super) async fn read(calls: Calls, by: By<Caller, InPath<UserId>>) -> Result<Tagged<User>, Error> {
    let user: User = calls.get_user(GetUserRequest { user_id: by.input.0.into() }).await?.user.try_into()?;
    let version = user.version;
    Ok(Tagged::by_version(user, version))
}

type Change = (InPath<UserId>, ExpectedVersion, Body<UpdateUser>);

/// Changes what is given; the user itself and admins.
#[utoipa::path(put, path = "/api/v1/users/{user_id}", tag = "users", security(("bearer" = [])), request_body = UpdateUser,
    params(("user_id" = UserId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The user as it is now", body = User)))]
pub(super) async fn update(calls: Calls, by: By<SelfOrAdmin, Change>) -> Result<Json<User>, Error> {
    let (InPath(id), ExpectedVersion(version), Body(form)) = by.input;
    let answer = calls.update_user(form.into_request(id, version)).await?;
    Ok(Json(answer.user.try_into()?))
}

/// Deletes the account and ends its sessions; the user itself and admins.
#[utoipa::path(delete, path = "/api/v1/users/{user_id}", tag = "users", security(("bearer" = [])), params(("user_id" = UserId, Path)),
    responses((status = 204, description = "The account is gone")))]
pub(super) async fn delete(calls: Calls, by: By<SelfOrAdmin, InPath<UserId>>) -> Result<HttpResponse, Error> {
    calls.delete_user(DeleteUserRequest { user_id: by.input.0.into() }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets the picture, PNG or JPEG by content and at most 1 MiB; the user itself and admins.
#[utoipa::path(post, path = "/api/v1/users/{user_id}/avatar", tag = "users", security(("bearer" = [])), params(("user_id" = UserId, Path)),
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 200, description = "What is known of the picture", body = Avatar)))]
pub(super) async fn set_avatar(
    request: HttpRequest,
    limits: Data<Limits>,
    calls: Calls,
    by: By<SelfOrAdmin, (InPath<UserId>, Multipart)>,
) -> Result<Json<Avatar>, Error> {
    require_multipart(&request)?;
    let (InPath(id), body) = by.input;
    upload(&calls, **limits, id, body).await.map(Json)
}

/// The picture.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/avatar", tag = "users", security(("bearer" = [])), params(("user_id" = UserId, Path)),
    responses((status = 200, description = "The picture", content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg")))))]
pub(super) async fn avatar(calls: Calls, by: By<Caller, InPath<UserId>>) -> Result<HttpResponse, Error> {
    download(calls.get_avatar(GetAvatarRequest { user_id: by.input.0.into() }).await?).await
}

/// What a user wrote, newest first.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/posts", tag = "users", params(("user_id" = UserId, Path), PageQuery),
    responses((status = 200, description = "A page", body = Page<Post>)))]
pub(super) async fn posts(calls: Calls, InPath(id): InPath<UserId>, page: InQuery<PageQuery>) -> Result<Json<Page<Post>>, Error> {
    let answer = calls.list_posts(by_author(page.0, Some(id))).await?;
    Ok(Json(Page::of(answer.posts, answer.next_page_token)?))
}
