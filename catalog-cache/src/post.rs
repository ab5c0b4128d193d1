//! Posts, comments, and who writes them.

use chrono::{DateTime, Utc};
use db::schema::catalog::{comments, posts};
use diesel::{Queryable, QueryableByName, Selectable, pg::Pg};
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{field::Fields, page::truncate_to_weight};

const MAX_USERNAME: usize = 64;
const MAX_TITLE: usize = 200;
const MAX_POST: usize = 20_000;
const MAX_COMMENT: usize = 4_000;

/// A row of `catalog.posts`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Serialize, Deserialize)]
#[diesel(table_name = posts, check_for_backend(Pg))]
#[allow(clippy::struct_field_names, reason = "the columns' names")]
pub(crate) struct Post {
    pub(crate) post_id: Uuid,
    pub(crate) author_id: Uuid,
    pub(crate) author_username: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A row of `catalog.comments`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Serialize, Deserialize)]
#[diesel(table_name = comments, check_for_backend(Pg))]
#[allow(clippy::struct_field_names, reason = "the columns' names")]
pub(crate) struct Comment {
    pub(crate) comment_id: Uuid,
    pub(crate) post_id: Uuid,
    pub(crate) author_id: Uuid,
    pub(crate) author_username: String,
    pub(crate) body: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// A post with its first comments, oldest first: what stands in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thread {
    /// Grows by one with each change of the post and each comment that is shown.
    pub(crate) version: i64,
    pub(crate) post: Post,
    pub(crate) comments: Vec<Comment>,
}

impl Thread {
    /// Leaves out the comments for which one answer has no room.
    pub(crate) fn new(post: Post, mut comments: Vec<Comment>) -> Self {
        let version = post.version + i64::try_from(comments.len()).unwrap_or(i64::MAX - post.version);
        truncate_to_weight(&mut comments, |comment| comment.body.len());
        Self { version, post, comments }
    }
}

/// Who does something: checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) is_admin: bool,
}

impl Actor {
    /// Checks the field `actor` of a request.
    pub(crate) fn read(actor: Option<proto::catalog::Actor>, fields: &mut Fields) -> Self {
        let proto::catalog::Actor { user_id, username, role } = actor.unwrap_or_default();
        if !["user", "admin"].contains(&role.as_str()) {
            fields.refuse("actor.role", "must be `user` or `admin`");
        }
        Self {
            user_id: fields.id("actor.user_id", &user_id),
            username: fields.line("actor.username", username, MAX_USERNAME),
            is_admin: role == "admin",
        }
    }

    /// Whether this is somebody who may change or delete what `author_id` wrote.
    pub(crate) fn may_change(&self, author_id: Uuid) -> bool {
        self.is_admin || self.user_id == author_id
    }
}

/// What a post says: checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) body: String,
}

impl Words {
    pub(crate) fn read(title: String, body: String, fields: &mut Fields) -> Self {
        Self { title: fields.line("title", title, MAX_TITLE), body: fields.lines("body", body, 1, MAX_POST) }
    }
}

/// Checks what a comment says.
pub(crate) fn read_comment(body: String, fields: &mut Fields) -> String {
    fields.lines("body", body, 1, MAX_COMMENT)
}

impl From<Post> for proto::catalog::Post {
    fn from(post: Post) -> Self {
        Self {
            post_id: post.post_id.to_string(),
            author_id: post.author_id.to_string(),
            author_username: post.author_username,
            title: post.title,
            body: post.body,
            created_at: Some(timestamp(post.created_at)),
            updated_at: Some(timestamp(post.updated_at)),
            version: post.version,
        }
    }
}

impl From<Comment> for proto::catalog::Comment {
    fn from(comment: Comment) -> Self {
        Self {
            comment_id: comment.comment_id.to_string(),
            post_id: comment.post_id.to_string(),
            author_id: comment.author_id.to_string(),
            author_username: comment.author_username,
            body: comment.body,
            created_at: Some(timestamp(comment.created_at)),
        }
    }
}

/// A moment as protobuf has it.
fn timestamp(moment: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: moment.timestamp(), nanos: i32::try_from(moment.timestamp_subsec_nanos()).unwrap_or_default() }
}
