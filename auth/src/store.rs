//! All SQL of `auth`. Says where each transaction begins and ends.

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::auth::{outbox, users};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, Selectable, SelectableHelper,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::{AsyncConnection, RunQueryDsl};
use events::{contract::UserCreated, outbox::OutboxRow};
use uuid::Uuid;

use crate::{
    error::AuthError,
    user::{Registration, User},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct UserRow {
    user_id: Uuid,
    username: String,
    email: String,
    password_hash: String,
    role: String,
    version: i64,
    created_at: DateTime<Utc>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let UserRow { user_id, username, email, role, version, created_at, password_hash: _ } = row;
        Self { user_id, username, email, role, version, created_at }
    }
}

/// Adds an account and its `UserCreated`: one transaction.
pub(crate) async fn register(connection: &mut Connection, registration: &Registration, password_hash: &str) -> Result<User, AuthError> {
    let created = connection.transaction(async |connection| {
        let user = insert(connection, registration, password_hash).await?;
        let event =
            UserCreated { user_id: user.user_id, username: user.username.clone(), email: user.email.clone(), timestamp: user.created_at };
        add_event(connection, &OutboxRow::new(user.user_id, user.version, event)?).await?;
        Ok::<_, AuthError>(user)
    });
    created.await
}

async fn insert(connection: &mut Connection, registration: &Registration, password_hash: &str) -> Result<User, AuthError> {
    let row = (
        users::user_id.eq(Uuid::now_v7()),
        users::username.eq(&registration.username),
        users::email.eq(&registration.email),
        users::password_hash.eq(password_hash),
    );
    let inserted = diesel::insert_into(users::table).values(row).returning(UserRow::as_returning()).get_result(connection).await;
    inserted.map(User::from).map_err(|error| match taken(&error) {
        Some(field) => AuthError::Taken(field),
        None => error.into(),
    })
}

fn taken(error: &Error) -> Option<&'static str> {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, information) = error else { return None };
    match information.constraint_name()? {
        "users_username_key" => Some("username"),
        "users_email_key" => Some("email"),
        _ => None,
    }
}

/// The account of an address, and its password's hash.
pub(crate) async fn find_by_email(connection: &mut Connection, email: &str) -> QueryResult<Option<(User, String)>> {
    let query = users::table.filter(users::email.eq(email)).select(UserRow::as_select());
    let row = query.first(connection).await.optional()?;
    Ok(row.map(|row| (row.password_hash.clone(), row)).map(|(hash, row)| (row.into(), hash)))
}

/// Puts an event into the outbox; a transaction of its own where the caller has none.
pub(crate) async fn add_event(connection: &mut Connection, event: &OutboxRow) -> QueryResult<()> {
    let row = (
        outbox::event_id.eq(event.event_id),
        outbox::topic.eq(event.topic),
        outbox::key.eq(&event.key),
        outbox::shard.eq(event.shard),
        outbox::payload.eq(&event.payload),
        outbox::traceparent.eq(&event.traceparent),
        outbox::tracestate.eq(&event.tracestate),
    );
    diesel::insert_into(outbox::table).values(row).execute(connection).await?;
    Ok(())
}
