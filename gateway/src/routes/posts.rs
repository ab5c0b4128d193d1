//! Posts and comments.

use actix_web::{HttpResponse, http::header::LOCATION, web::Json};
use proto::catalog::{DeletePostRequest, GetPostRequest};

use crate::{
    body::Body,
    caller::{By, Caller},
    conditional::{ExpectedVersion, Tagged},
    error::Error,
    page::{InPath, Page, PageQuery},
    post::{Comment, Discussion, Post, PostId, PostQuery, WriteComment, WritePost},
    query::InQuery,
    upstream::Calls,
};

/// Posts, newest first.
#[utoipa::path(get, path = "/api/v1/posts", tag = "posts", params(PageQuery, PostQuery),
    responses((status = 200, description = "A page", body = Page<Post>)))]
pub(super) async fn list(calls: Calls, query: InQuery<PostQuery>) -> Result<Json<Page<Post>>, Error> {
    let answer = calls.list_posts(query.0.into()).await?;
    Ok(Json(Page::of(answer.posts, answer.next_page_token)?))
}

/// Writes a post.
#[utoipa::path(post, path = "/api/v1/posts", tag = "posts", security(("bearer" = [])), request_body = WritePost,
    responses((status = 201, description = "The post", body = Post)))]
pub(super) async fn create(calls: Calls, by: By<Caller, Body<WritePost>>) -> Result<HttpResponse, Error> {
    let post: Post = calls.create_post(by.input.0.create(by.who.into())).await?.post.try_into()?;
    let location = format!("/api/v1/posts/{}", post.post_id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(post))
}

/// A post with its comments, oldest first.
#[utoipa::path(get, path = "/api/v1/posts/{post_id}", tag = "posts", params(("post_id" = PostId, Path)),
    responses((status = 200, description = "The post", body = Discussion)))]
pub(super) async fn read(calls: Calls, InPath(id): InPath<PostId>) -> Result<Tagged<Discussion>, Error> {
    let discussion: Discussion = calls.get_post(GetPostRequest { post_id: id.into() }).await?.try_into()?;
    let (version, comments) = discussion.names();
    Ok(Tagged::by_version_and_parts(discussion, version, comments))
}

type Change = (InPath<PostId>, ExpectedVersion, Body<WritePost>);

/// Writes a post anew; its author and admins.
#[utoipa::path(put, path = "/api/v1/posts/{post_id}", tag = "posts", security(("bearer" = [])), request_body = WritePost,
    params(("post_id" = PostId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The post as it is now", body = Post)))]
pub(super) async fn update(calls: Calls, by: By<Caller, Change>) -> Result<Json<Post>, Error> {
    let (InPath(id), ExpectedVersion(version), Body(form)) = by.input;
    Ok(Json(calls.update_post(form.update(by.who.into(), id, version)).await?.post.try_into()?))
}

/// Deletes a post and its comments; its author and admins.
#[utoipa::path(delete, path = "/api/v1/posts/{post_id}", tag = "posts", security(("bearer" = [])),
    params(("post_id" = PostId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 204, description = "The post is gone")))]
pub(super) async fn delete(calls: Calls, by: By<Caller, (InPath<PostId>, ExpectedVersion)>) -> Result<HttpResponse, Error> {
    let (InPath(id), ExpectedVersion(version)) = by.input;
    calls.delete_post(DeletePostRequest { actor: Some(by.who.into()), post_id: id.into(), version }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Comments on a post.
#[utoipa::path(post, path = "/api/v1/posts/{post_id}/comments", tag = "posts", security(("bearer" = [])), request_body = WriteComment,
    params(("post_id" = PostId, Path)), responses((status = 201, description = "The comment", body = Comment)))]
pub(super) async fn comment(calls: Calls, by: By<Caller, (InPath<PostId>, Body<WriteComment>)>) -> Result<HttpResponse, Error> {
    let (InPath(id), Body(form)) = by.input;
    let comment: Comment = calls.create_comment(form.create(by.who.into(), id)).await?.comment.try_into()?;
    Ok(HttpResponse::Created().json(comment))
}
