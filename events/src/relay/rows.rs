//! The relay's SQL. The schema's name is a constant of the program, never input.

use db::connection::Connection;
use diesel::{
    QueryResult, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use telemetry::context::TraceContext;
use uuid::Uuid;

use super::metrics::Backlog;
use crate::outbox::SHARDS;

#[derive(Debug, QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
    #[diesel(sql_type = SqlUuid)]
    pub(super) event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) topic: String,
    #[diesel(sql_type = Text)]
    pub(super) key: String,
    #[diesel(sql_type = Text)]
    pub(super) payload: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) traceparent: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) tracestate: Option<String>,
}

impl Row {
    /// The context of the request that wrote it.
    pub(super) fn trace(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }
}

#[derive(QueryableByName)]
struct Shard {
    #[diesel(sql_type = SmallInt)]
    shard: i16,
}

/// Takes the leases that nobody has, beyond those `held`; they last as long as the connection.
pub(super) async fn lease(connection: &mut Connection, schema: &str, held: &[i16]) -> QueryResult<Vec<i16>> {
    let taken: Vec<Shard> = sql_query(
        "SELECT shard FROM (
             SELECT shard::smallint FROM generate_series(0, $1 - 1) AS shard WHERE shard <> ALL ($2) ORDER BY shard
         ) AS free
         WHERE pg_try_advisory_lock(hashtext($3), shard)",
    )
    .bind::<SmallInt, _>(SHARDS)
    .bind::<Array<SmallInt>, _>(held)
    .bind::<Text, _>(format!("{schema}.outbox"))
    .load(connection)
    .await?;
    Ok(taken.into_iter().map(|row| row.shard).collect())
}

pub(super) async fn oldest(connection: &mut Connection, schema: &str, leases: &[i16], limit: i64) -> QueryResult<Vec<Row>> {
    sql_query(format!(
        "SELECT id, event_id, topic, key, payload, traceparent, tracestate FROM {schema}.outbox WHERE shard = ANY ($1) ORDER BY id LIMIT $2"
    ))
    .bind::<Array<SmallInt>, _>(leases)
    .bind::<BigInt, _>(limit)
    .load(connection)
    .await
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Double)]
    oldest_age: f64,
}

/// All rows, whoever has their leases.
pub(super) async fn backlog(connection: &mut Connection, schema: &str) -> QueryResult<Backlog> {
    let count: Count = sql_query(format!(
        "SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_age FROM {schema}.outbox"
    ))
    .get_result(connection)
    .await?;
    Ok(Backlog { rows: count.rows, oldest_age: count.oldest_age })
}

pub(super) async fn delete(connection: &mut Connection, schema: &str, ids: &[i64]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sql_query(format!("DELETE FROM {schema}.outbox WHERE id = ANY ($1)")).bind::<Array<BigInt>, _>(ids).execute(connection).await?;
    Ok(())
}
