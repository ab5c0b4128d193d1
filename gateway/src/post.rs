//! Posts and comments.

use proto::catalog::{self, Actor, CreateCommentRequest, CreatePostRequest, GetPostResponse, ListPostsRequest, UpdatePostRequest};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    field::{Form, Object, id_field, text_field},
    page::PageQuery,
    query::{Params, QueryForm},
    time::moment,
    upstream::CATALOG_CACHE,
    user::UserId,
};

id_field!(
    /// Which post.
    PostId
);

text_field!(Title, 1 to 200, "must be 1 to 200 characters");
text_field!(Text, 1 to 20_000, "must be 1 to 20000 characters");
text_field!(CommentText, 1 to 4_000, "must be 1 to 4000 characters");

/// `GET /posts`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostQuery {
    #[param(ignore)]
    page: PageQuery,
    /// Only this user's.
    author_id: Option<UserId>,
}

impl QueryForm for PostQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (page, author_id) = (PageQuery::read(params), params.optional("author_id"));
        Some(Self { page: page?, author_id: author_id? })
    }
}

impl From<PostQuery> for ListPostsRequest {
    fn from(query: PostQuery) -> Self {
        by_author(query.page, query.author_id)
    }
}

/// A page of an author's posts, or of everybody's.
pub(crate) fn by_author(page: PageQuery, author: Option<UserId>) -> ListPostsRequest {
    ListPostsRequest { page_size: page.limit, page_token: page.cursor, author_id: author.map(String::from).unwrap_or_default() }
}

/// `POST /posts`, `PUT /posts/{post_id}`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WritePost {
    title: Title,
    body: Text,
}

impl Form for WritePost {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (title, body) = (object.field("title"), object.field("body"));
        Some(Self { title: title?, body: body? })
    }
}

impl WritePost {
    pub(crate) fn create(self, actor: Actor) -> CreatePostRequest {
        CreatePostRequest { actor: Some(actor), title: self.title.0, body: self.body.0 }
    }

    pub(crate) fn update(self, actor: Actor, id: PostId, version: Option<i64>) -> UpdatePostRequest {
        UpdatePostRequest { actor: Some(actor), post_id: id.into(), title: self.title.0, body: self.body.0, version }
    }
}

/// `POST /posts/{post_id}/comments`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteComment {
    body: CommentText,
}

impl Form for WriteComment {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        Some(Self { body: object.field("body")? })
    }
}

impl WriteComment {
    pub(crate) fn create(self, actor: Actor, id: PostId) -> CreateCommentRequest {
        CreateCommentRequest { actor: Some(actor), post_id: id.into(), body: self.body.0 }
    }
}

/// A post.
#[derive(Serialize, ToSchema)]
pub(crate) struct Post {
    #[schema(format = Uuid)]
    pub(crate) post_id: String,
    #[schema(format = Uuid)]
    author_id: String,
    /// As it was when the post was written.
    author_username: String,
    title: String,
    body: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    version: i64,
}

impl TryFrom<catalog::Post> for Post {
    type Error = Error;

    fn try_from(post: catalog::Post) -> Result<Self, Error> {
        Ok(Self {
            created_at: moment(post.created_at, CATALOG_CACHE, "post.created_at")?,
            updated_at: moment(post.updated_at, CATALOG_CACHE, "post.updated_at")?,
            post_id: post.post_id,
            author_id: post.author_id,
            author_username: post.author_username,
            title: post.title,
            body: post.body,
            version: post.version,
        })
    }
}

impl TryFrom<Option<catalog::Post>> for Post {
    type Error = Error;

    fn try_from(post: Option<catalog::Post>) -> Result<Self, Error> {
        post.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "post" })?.try_into()
    }
}

/// What a reader says to a post.
#[derive(Serialize, ToSchema)]
pub(crate) struct Comment {
    #[schema(format = Uuid)]
    comment_id: String,
    #[schema(format = Uuid)]
    post_id: String,
    #[schema(format = Uuid)]
    author_id: String,
    author_username: String,
    body: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl TryFrom<catalog::Comment> for Comment {
    type Error = Error;

    fn try_from(comment: catalog::Comment) -> Result<Self, Error> {
        Ok(Self {
            created_at: moment(comment.created_at, CATALOG_CACHE, "comment.created_at")?,
            comment_id: comment.comment_id,
            post_id: comment.post_id,
            author_id: comment.author_id,
            author_username: comment.author_username,
            body: comment.body,
        })
    }
}

impl TryFrom<Option<catalog::Comment>> for Comment {
    type Error = Error;

    fn try_from(comment: Option<catalog::Comment>) -> Result<Self, Error> {
        comment.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "comment" })?.try_into()
    }
}

/// A post with its comments, oldest first, at most the first 500.
#[derive(Serialize, ToSchema)]
pub(crate) struct Discussion {
    #[serde(flatten)]
    post: Post,
    comments: Vec<Comment>,
}

impl TryFrom<GetPostResponse> for Discussion {
    type Error = Error;

    fn try_from(answer: GetPostResponse) -> Result<Self, Error> {
        let comments = answer.comments.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { post: answer.post.try_into()?, comments })
    }
}

impl Discussion {
    /// The post's version, and the number of its comments.
    pub(crate) fn names(&self) -> (i64, usize) {
        (self.post.version, self.comments.len())
    }
}
