//! What has ended long ago is removed, a little at a time.

use std::time::Duration;

use chassis::Process;
use db::{connection::Connection, pool::Pool};
use diesel::{
    QueryResult, sql_query,
    sql_types::{BigInt, Double, Text},
};
use diesel_async::RunQueryDsl;
use futures::{FutureExt, future::BoxFuture};
use tokio::time::{sleep, timeout};

use crate::consumer::HandleError;

/// For how long an event's id is kept. The event may come again for as long as its record lies in its topic (a group that is set
/// back), for as long as its dead letter lies in `dlq`, and, if it is replayed then, once more for as long as its topic keeps it.
pub const IDS_KEPT: Duration = Duration::from_hours(60 * 24);

/// Rows that one statement removes.
pub(crate) const CHUNK: i64 = 1_000;
/// Between looks for what is old.
const INTERVAL: Duration = Duration::from_mins(10);
/// What one statement may take; Postgres has a limit of its own, and this is for a server that stands still.
const LIMIT: Duration = Duration::from_mins(1);

/// Removes the ids of `consumer`'s old events now and then, until the process stops.
pub(crate) fn forget_ids(pool: Pool, consumer: &'static str, process: &Process) {
    watch(pool, process, move |connection| forget(connection, consumer).boxed());
}

async fn forget(connection: &mut Connection, consumer: &str) -> QueryResult<usize> {
    // diesel has no DELETE with a limit
    sql_query(
        "DELETE FROM events.processed_events WHERE consumer = $1 AND event_id IN (
             SELECT event_id FROM events.processed_events
             WHERE consumer = $1 AND processed_at < now() - make_interval(secs => $2) LIMIT $3
         )",
    )
    .bind::<Text, _>(consumer)
    .bind::<Double, _>(IDS_KEPT.as_secs_f64())
    .bind::<BigInt, _>(CHUNK)
    .execute(connection)
    .await
}

/// Calls `remove` until it removes nothing more, and begins again after a while, until the process stops.
pub(crate) fn watch<R>(pool: Pool, process: &Process, remove: R)
where
    R: for<'a> Fn(&'a mut Connection) -> BoxFuture<'a, QueryResult<usize>> + Send + Sync + 'static,
{
    let shutdown = process.shutdown.clone();
    process.background(async move {
        let work = async {
            loop {
                if let Err(error) = remove_all(&pool, &remove).await {
                    tracing::warn!(%error, "what is old is not removed yet");
                }
                sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.cancelled() => {}
        }
    });
}

async fn remove_all<R>(pool: &Pool, remove: &R) -> Result<(), HandleError>
where
    R: for<'a> Fn(&'a mut Connection) -> BoxFuture<'a, QueryResult<usize>>,
{
    let mut removed = 1;
    while removed > 0 {
        let mut connection = pool.get_answering().await?;
        let silence = |_| HandleError::unavailable(format!("no answer within {} s", LIMIT.as_secs()));
        removed = timeout(LIMIT, remove(&mut connection)).await.map_err(silence)??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::{DLQ, TOPICS};

    #[test]
    fn an_id_is_kept_for_as_long_as_its_event_may_come_again() {
        let (letters, records): (Vec<_>, Vec<_>) = TOPICS.iter().partition(|topic| topic.name == DLQ);
        let longest = |topics: &[&crate::topics::Topic]| topics.iter().filter_map(|topic| topic.cleanup.retention()).max().unwrap();
        assert!(IDS_KEPT > longest(&records) * 2 + longest(&letters));
    }
}
