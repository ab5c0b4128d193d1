//! The transactional outbox: an event is a row, written by the transaction that causes it.

use diesel::{ExpressionMethods, Insertable, dsl::Eq};
use telemetry::context::TraceContext;
use uuid::Uuid;

use crate::envelope::{Envelope, Event};

/// Relay leases; a key always has the same.
pub const SHARDS: i16 = 16;

/// A row of a schema's `outbox` table: `diesel::insert_into(outbox::table).values(&row)`, in the transaction that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The envelope's id.
    pub event_id: Uuid,
    /// The event's topic.
    pub topic: &'static str,
    /// The aggregate's id.
    pub key: String,
    /// Which lease publishes it.
    pub shard: i16,
    /// The envelope as JSON.
    pub payload: String,
    /// W3C trace context of the request that is being served now.
    pub traceparent: Option<String>,
    /// See `traceparent`.
    pub tracestate: Option<String>,
}

impl OutboxRow {
    /// An event about the `aggregate_version`-th change of `aggregate_id`, within the current trace.
    ///
    /// # Errors
    /// Where the event cannot be written as JSON.
    pub fn new<T: Event>(aggregate_id: Uuid, aggregate_version: i64, data: T) -> Result<Self, serde_json::Error> {
        let event = Envelope::new(aggregate_id, aggregate_version, data);
        let TraceContext { traceparent, tracestate } = TraceContext::current();
        Ok(Self {
            event_id: event.event_id,
            topic: T::TOPIC,
            key: aggregate_id.to_string(),
            shard: shard_of(aggregate_id),
            payload: serde_json::to_string(&event)?,
            traceparent,
            tracestate,
        })
    }
}

/// What a row is in the `outbox` table of each of these schemas, whose columns are the same by name and by type. Whoever has a
/// connection writes `diesel::insert_into(outbox::table).values(&row)`, with the `outbox` of their schema.
macro_rules! rows_of {
    ($($schema:ident),+) => { $(
        const _: () = {
            use db::schema::$schema::outbox;

            type Row<'a> = (
                Eq<outbox::event_id, Uuid>,
                Eq<outbox::topic, &'a str>,
                Eq<outbox::key, &'a str>,
                Eq<outbox::shard, i16>,
                Eq<outbox::payload, &'a str>,
                Eq<outbox::traceparent, Option<&'a str>>,
                Eq<outbox::tracestate, Option<&'a str>>,
            );

            impl<'a> Insertable<outbox::table> for &'a OutboxRow {
                type Values = <Row<'a> as Insertable<outbox::table>>::Values;

                fn values(self) -> Self::Values {
                    let row: Row<'a> = (
                        outbox::event_id.eq(self.event_id),
                        outbox::topic.eq(self.topic),
                        outbox::key.eq(self.key.as_str()),
                        outbox::shard.eq(self.shard),
                        outbox::payload.eq(self.payload.as_str()),
                        outbox::traceparent.eq(self.traceparent.as_deref()),
                        outbox::tracestate.eq(self.tracestate.as_deref()),
                    );
                    row.values()
                }
            }
        };
    )+ };
}

rows_of!(auth, orders);

/// The last bits of a `UUIDv7` are random, so they spread keys evenly and for ever the same.
fn shard_of(key: Uuid) -> i16 {
    i16::from(key.as_bytes()[15]) % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_spread_over_all_shards() {
        let shards: HashSet<i16> = (0..1000).map(|_| shard_of(Uuid::now_v7())).collect();
        assert_eq!(shards.len(), usize::try_from(SHARDS).unwrap());
    }
}
