//! Each event's effect once: its id is kept in the transaction of the effect.

use db::connection::Connection;
use db::schema::events::processed_events;
use diesel::{ExpressionMethods, QueryResult};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Takes the event for `consumer`, within the caller's transaction: true where nobody has had it before. A second
/// transaction that asks at the same time waits for the first to end.
///
/// # Errors
/// diesel's
pub async fn claim(connection: &mut Connection, consumer: &str, event_id: Uuid) -> QueryResult<bool> {
    let inserted = diesel::insert_into(processed_events::table)
        .values((processed_events::consumer.eq(consumer), processed_events::event_id.eq(event_id)))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}
