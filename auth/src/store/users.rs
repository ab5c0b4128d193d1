//! `auth.users`

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::auth::users;
use diesel::{
    AsChangeset, ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, Selectable, SelectableHelper,
    dsl::exists,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    error::AuthError,
    user::{Change, Registration, Role, User, email_mistake, username_mistake},
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
        // the column allows the two only; what is not known may do the least
        Self { user_id, username, email, role: Role::read(&role).unwrap_or(Role::User), version, created_at }
    }
}

/// Adds an account.
pub(crate) async fn insert(connection: &mut Connection, registration: &Registration, password_hash: &str) -> Result<User, AuthError> {
    let row = (
        users::user_id.eq(Uuid::now_v7()),
        users::username.eq(&registration.username),
        users::email.eq(&registration.email),
        users::password_hash.eq(password_hash),
        users::role.eq(registration.role.as_str()),
    );
    let inserted = diesel::insert_into(users::table).values(row).returning(UserRow::as_returning()).get_result(connection).await;
    inserted.map(User::from).map_err(refused)
}

/// What a constraint refuses is named.
fn refused(error: Error) -> AuthError {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::CheckViolation, information) = &error else {
        return error.into();
    };
    match information.constraint_name() {
        Some("users_username_key") => AuthError::Taken("username"),
        Some("users_email_key") => AuthError::Taken("email"),
        // a letter of which Postgres knows a smaller form and we do not
        Some("users_email_check") => AuthError::Invalid(email_mistake("").into_iter().collect()),
        Some("users_username_check") => AuthError::Invalid(username_mistake("").into_iter().collect()),
        _ => error.into(),
    }
}

/// The account of an address, and its password's hash.
pub(crate) async fn find_by_email(connection: &mut Connection, email: &str) -> QueryResult<Option<(User, String)>> {
    let query = users::table.filter(users::email.eq(email)).select(UserRow::as_select());
    Ok(query.first(connection).await.optional()?.map(with_hash))
}

fn with_hash(row: UserRow) -> (User, String) {
    let hash = row.password_hash.clone();
    (row.into(), hash)
}

pub(crate) async fn find(connection: &mut Connection, user_id: Uuid) -> QueryResult<Option<User>> {
    let row = users::table.find(user_id).select(UserRow::as_select()).first(connection).await.optional()?;
    Ok(row.map(User::from))
}

/// The account with its password's hash, as it stays until the transaction ends.
pub(crate) async fn hold(connection: &mut Connection, user_id: Uuid) -> QueryResult<Option<(User, String)>> {
    let query = users::table.find(user_id).select(UserRow::as_select()).for_share();
    Ok(query.get_result(connection).await.optional()?.map(with_hash))
}

/// The account, which is going to be changed by the transaction.
pub(crate) async fn lock(connection: &mut Connection, user_id: Uuid) -> QueryResult<Option<User>> {
    let query = users::table.find(user_id).select(UserRow::as_select()).for_update();
    Ok(query.get_result(connection).await.optional()?.map(User::from))
}

/// All admins, which stay admins until the transaction ends. To be taken before any other account, so that two who take each
/// other's do not wait for each other.
pub(crate) async fn lock_admins(connection: &mut Connection) -> QueryResult<Vec<Uuid>> {
    let admins = users::table.filter(users::role.eq(Role::Admin.as_str()));
    admins.order(users::user_id).select(users::user_id).for_update().load(connection).await
}

pub(crate) async fn has_admin(connection: &mut Connection) -> QueryResult<bool> {
    diesel::select(exists(users::table.filter(users::role.eq(Role::Admin.as_str())))).get_result(connection).await
}

/// Accounts in the order of their ids.
pub(crate) async fn page(connection: &mut Connection, after: Option<Uuid>, limit: i64) -> QueryResult<Vec<User>> {
    let mut query = users::table.select(UserRow::as_select()).order(users::user_id).limit(limit).into_boxed();
    if let Some(after) = after {
        query = query.filter(users::user_id.gt(after));
    }
    let rows: Vec<UserRow> = query.load(connection).await?;
    Ok(rows.into_iter().map(User::from).collect())
}

#[derive(AsChangeset)]
#[diesel(table_name = users)]
struct Columns<'a> {
    username: Option<&'a str>,
    email: Option<&'a str>,
    password_hash: Option<&'a str>,
    role: Option<&'static str>,
}

/// Changes an account to its next version.
pub(crate) async fn update(connection: &mut Connection, change: &Change, password_hash: Option<&str>) -> Result<User, AuthError> {
    let columns = Columns {
        username: change.username.as_deref(),
        email: change.email.as_deref(),
        password_hash,
        role: change.role.map(Role::as_str),
    };
    let update = diesel::update(users::table.find(change.user_id)).set((columns, users::version.eq(users::version + 1)));
    let updated = update.returning(UserRow::as_returning()).get_result(connection).await;
    updated.map(User::from).map_err(refused)
}

/// Deletes an account, and its picture with it.
pub(crate) async fn delete(connection: &mut Connection, user_id: Uuid) -> QueryResult<()> {
    diesel::delete(users::table.find(user_id)).execute(connection).await?;
    Ok(())
}
