//! `auth.outbox`

use db::connection::Connection;
use db::schema::auth::outbox;
use diesel::ExpressionMethods;
use diesel_async::RunQueryDsl;
use events::{envelope::Event, outbox::OutboxRow};
use uuid::Uuid;

use crate::error::AuthError;

/// Tells of a user's `version`-th change, or of what happened while the user had that version.
pub(crate) async fn tell<T: Event>(connection: &mut Connection, user_id: Uuid, version: i64, event: T) -> Result<(), AuthError> {
    let event = OutboxRow::new(user_id, version, event)?;
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
