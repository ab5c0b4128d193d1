//! The outbox, where the statement itself does not write it.

use db::connection::Connection;
use db::schema::orders::outbox;
use diesel::{ExpressionMethods, QueryResult};
use diesel_async::RunQueryDsl;
use events::outbox::OutboxRow;

/// Adds an event. Call it in the transaction that the event tells of.
pub(super) async fn add(connection: &mut Connection, event: &OutboxRow) -> QueryResult<()> {
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
