//! The outbox, where the statement itself does not write it.

use db::connection::Connection;
use db::schema::orders::outbox;
use diesel::QueryResult;
use diesel_async::RunQueryDsl;
use events::outbox::OutboxRow;

/// Adds an event. Call it in the transaction that the event tells of.
pub(super) async fn add(connection: &mut Connection, event: &OutboxRow) -> QueryResult<()> {
    diesel::insert_into(outbox::table).values(event).execute(connection).await?;
    Ok(())
}
