//! `auth.outbox`

use db::connection::Connection;
use db::schema::auth::outbox;
use diesel_async::RunQueryDsl;
use events::{envelope::Event, outbox::OutboxRow};
use uuid::Uuid;

use crate::error::AuthError;

/// Tells of a user's `version`-th change, or of what happened while the user had that version.
pub(crate) async fn tell<T: Event>(connection: &mut Connection, user_id: Uuid, version: i64, event: T) -> Result<(), AuthError> {
    let event = OutboxRow::new(user_id, version, event)?;
    diesel::insert_into(outbox::table).values(&event).execute(connection).await?;
    Ok(())
}
