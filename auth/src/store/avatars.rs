//! `auth.avatars`

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::auth::avatars;
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, Selectable, SelectableHelper,
    dsl::now,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{avatar::Picture, error::AuthError};

/// A picture as it is stored.
#[derive(Queryable, Selectable)]
#[diesel(table_name = avatars)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub(crate) struct Avatar {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: Vec<u8>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// Puts a picture in the place of the one before; returns when.
pub(crate) async fn put(connection: &mut Connection, user_id: Uuid, picture: &Picture) -> Result<DateTime<Utc>, AuthError> {
    let columns = (
        avatars::media_type.eq(picture.media_type.as_str()),
        avatars::bytes.eq(picture.bytes.as_slice()),
        avatars::sha256.eq(picture.sha256.as_slice()),
        avatars::updated_at.eq(now),
    );
    let insert = diesel::insert_into(avatars::table).values((avatars::user_id.eq(user_id), columns));
    let put = insert.on_conflict(avatars::user_id).do_update().set(columns).returning(avatars::updated_at);
    put.get_result(connection).await.map_err(|error| match error {
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => AuthError::NotFound("user"),
        error => error.into(),
    })
}

pub(crate) async fn find(connection: &mut Connection, user_id: Uuid) -> QueryResult<Option<Avatar>> {
    avatars::table.find(user_id).select(Avatar::as_select()).first(connection).await.optional()
}
