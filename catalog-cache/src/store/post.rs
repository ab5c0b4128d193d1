//! `catalog.posts` and `catalog.comments`.

use std::collections::HashMap;

use chassis::scenario::{Scenario, Scenarios};
use db::connection::Connection;
use db::schema::catalog::{
    comments::{self, comment_id},
    posts::{self, author_id, body, post_id, title, updated_at, version},
};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, IntoSql, OptionalExtension, QueryDsl, QueryResult, SelectableHelper,
    dsl::now,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{Array, BigInt, Bool, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::versions;
use crate::{
    catalog::Kept,
    config::CacheConfig,
    error::CatalogError,
    page::PostPage,
    post::{Actor, Comment, Post, Thread, Words},
};

/// The first comments of each post; diesel has no LATERAL.
const FIRST_COMMENTS: &str = "
    SELECT shown.* FROM unnest($1::uuid[]) AS wanted (post_id) CROSS JOIN LATERAL (
        SELECT * FROM catalog.comments WHERE comments.post_id = wanted.post_id ORDER BY comment_id LIMIT 500
    ) AS shown
    ORDER BY shown.comment_id";

/// `~` sorts after all ids.
const POSTS_BY_TEXT: &str = r#"
    SELECT * FROM catalog.posts
    WHERE lower(author_id::text) = $1 AND post_id::text COLLATE "C" < $2
    ORDER BY post_id::text COLLATE "C" DESC LIMIT $3"#;

impl Kept for Thread {
    fn id(&self) -> Uuid {
        self.post.post_id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn prefix(config: &CacheConfig) -> &str {
        &config.post_key_prefix
    }

    fn size(&self) -> usize {
        self.post.title.len() + self.post.body.len() + self.comments.iter().map(|comment| comment.body.len()).sum::<usize>()
    }

    /// Two statements, the posts first: a comment that comes in between makes a thread newer than its version says, and never
    /// older.
    async fn load(connection: &mut Connection, ids: &[Uuid], scenarios: &Scenarios) -> QueryResult<Vec<Self>> {
        let found: Vec<Post> = posts::table.filter(post_id.eq_any(ids)).select(Post::as_select()).load(connection).await?;
        let shown: Vec<Uuid> = found.iter().map(|post| post.post_id).collect();
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let comments = if scenarios.is_on(Scenario::NPlusOne) {
            comments_one_by_one(connection, &shown).await?
        } else {
            sql_query(FIRST_COMMENTS).bind::<Array<SqlUuid>, _>(shown).load(connection).await?
        };
        let mut said: HashMap<Uuid, Vec<Comment>> = HashMap::new();
        for comment in comments {
            said.entry(comment.post_id).or_default().push(comment);
        }
        let thread = |post: Post| {
            let comments = said.remove(&post.post_id).unwrap_or_default();
            Self::new(post, comments)
        };
        Ok(found.into_iter().map(thread).collect())
    }
}

/// As [`FIRST_COMMENTS`], wrongly: a statement for each post, and one for each comment.
async fn comments_one_by_one(connection: &mut Connection, shown: &[Uuid]) -> QueryResult<Vec<Comment>> {
    let mut found = Vec::new();
    for post in shown {
        let of_post = comments::table.filter(comments::post_id.eq(post)).order(comment_id).limit(500);
        let ids: Vec<Uuid> = of_post.select(comment_id).load(connection).await?;
        for id in ids {
            // nobody deletes a comment alone, but its post with all of them
            found.extend(comments::table.find(id).select(Comment::as_select()).first(connection).await.optional()?);
        }
    }
    Ok(found)
}

/// As [`page`] of an author's posts, wrongly: ids are compared as texts, which no index has.
async fn page_by_text(connection: &mut Connection, page: &PostPage, author: Uuid) -> QueryResult<Vec<Post>> {
    let before = page.before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    let rows = sql_query(POSTS_BY_TEXT).bind::<Text, _>(author.to_string()).bind::<Text, _>(before);
    rows.bind::<BigInt, _>(i64::from(page.size) + 1).load(connection).await
}

/// A page, and one post more where there is a next page.
pub(crate) async fn page(connection: &mut Connection, page: &PostPage, scenarios: &Scenarios) -> QueryResult<Vec<Post>> {
    if let Some(author) = page.author_id
        && scenarios.is_on(Scenario::SlowQuery)
    {
        return page_by_text(connection, page, author).await;
    }
    let before = page.before.unwrap_or(Uuid::max());
    let rows = posts::table.filter(post_id.lt(before)).order(post_id.desc()).limit(i64::from(page.size) + 1);
    let mut rows = rows.select(Post::as_select()).into_boxed();
    if let Some(author) = page.author_id {
        rows = rows.filter(author_id.eq(author));
    }
    rows.load(connection).await
}

/// Adds a post.
pub(crate) async fn insert(connection: &mut Connection, id: Uuid, actor: &Actor, words: &Words) -> Result<Post, CatalogError> {
    let row = (
        post_id.eq(id),
        author_id.eq(actor.user_id),
        posts::author_username.eq(&actor.username),
        title.eq(&words.title),
        body.eq(&words.body),
    );
    Ok(diesel::insert_into(posts::table).values(row).returning(Post::as_returning()).get_result(connection).await?)
}

/// Changes what a post says.
pub(crate) async fn update(
    connection: &mut Connection,
    id: Uuid,
    actor: &Actor,
    words: &Words,
    expected: Option<i64>,
) -> Result<Post, CatalogError> {
    let (least, most) = versions(expected);
    let theirs = author_id.eq(actor.user_id).or(actor.is_admin.into_sql::<Bool>());
    let row = posts::table.filter(post_id.eq(id).and(theirs).and(version.between(least, most)));
    let change = (title.eq(&words.title), body.eq(&words.body), version.eq(version + 1), updated_at.eq(now));
    let updated = diesel::update(row).set(change).returning(Post::as_returning()).get_result(connection).await.optional();
    match updated? {
        Some(post) => Ok(post),
        None => Err(why_not(connection, id, actor).await?),
    }
}

/// Deletes a post; its comments go with it.
pub(crate) async fn delete(connection: &mut Connection, id: Uuid, actor: &Actor, expected: Option<i64>) -> Result<(), CatalogError> {
    let (least, most) = versions(expected);
    let theirs = author_id.eq(actor.user_id).or(actor.is_admin.into_sql::<Bool>());
    let row = posts::table.filter(post_id.eq(id).and(theirs).and(version.between(least, most)));
    match diesel::delete(row).execute(connection).await? {
        0 => Err(why_not(connection, id, actor).await?),
        _ => Ok(()),
    }
}

/// Why a change found no row.
async fn why_not(connection: &mut Connection, id: Uuid, actor: &Actor) -> QueryResult<CatalogError> {
    let found: Option<(Uuid, i64)> = posts::table.find(id).select((author_id, version)).first(connection).await.optional()?;
    Ok(match found {
        None => CatalogError::NotFound("post", id),
        Some((author, _)) if !actor.may_change(author) => CatalogError::NotYours,
        Some((_, current)) => CatalogError::VersionMismatch { current },
    })
}

/// Adds a comment.
pub(crate) async fn insert_comment(connection: &mut Connection, id: Uuid, actor: &Actor, text: &str) -> Result<Comment, CatalogError> {
    let row = (
        comments::comment_id.eq(Uuid::now_v7()),
        comments::post_id.eq(id),
        comments::author_id.eq(actor.user_id),
        comments::author_username.eq(&actor.username),
        comments::body.eq(text),
    );
    let inserted = diesel::insert_into(comments::table).values(row).returning(Comment::as_returning()).get_result(connection).await;
    inserted.map_err(|error| match &error {
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, facts) if facts.constraint_name() == Some("comments_post_id_fkey") => {
            CatalogError::NotFound("post", id)
        }
        _ => error.into(),
    })
}
