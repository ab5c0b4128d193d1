//! How long it is known what became of sessions: what is older is deleted beside the requests, bit by bit.

use std::time::Duration;

use chrono::{Days, Utc};
use db::pool::Pool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{error::AuthError, store::sessions};

/// Between looks for what is too old.
const EVERY: Duration = Duration::from_hours(1);
/// Rows that one statement deletes: no lock lasts long.
const BATCH: i64 = 1_000;
/// Between two of them, so that others get their turn.
const PAUSE: Duration = Duration::from_millis(50);

/// Deletes what has been over for more than `days`, now and every hour, until `shutdown`. Replicas may do so at the same time.
pub(crate) async fn run(pool: Pool, days: u32, shutdown: CancellationToken) {
    let delete = || async {
        let moment = Utc::now().checked_sub_days(Days::new(days.into())).unwrap_or_default();
        let delete = async {
            let mut connection = pool.get().await?;
            Ok::<_, AuthError>(sessions::delete_before(&mut connection, moment, BATCH).await?)
        };
        pool.bounded(delete).await
    };
    keep_deleting(delete, EVERY, &shutdown).await;
}

async fn keep_deleting<F>(delete: impl Fn() -> F, every: Duration, shutdown: &CancellationToken)
where
    F: Future<Output = Result<usize, AuthError>>,
{
    let mut pause = Duration::ZERO;
    while timeout(pause, shutdown.cancelled()).await.is_err() {
        pause = match delete().await {
            // there may be more
            Ok(deleted) if i64::try_from(deleted).is_ok_and(|deleted| deleted >= BATCH) => PAUSE,
            Ok(_) => every,
            Err(error) => {
                tracing::warn!(%error, "old sessions stay for now");
                every
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn it_deletes_batch_by_batch_goes_on_after_a_failure_and_ends_with_the_process() {
        let (calls, shutdown) = (AtomicUsize::new(0), CancellationToken::new());
        let delete = async || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            match call {
                0 | 1 => Ok(1_000),
                2 => Ok(999),
                3 => Err(AuthError::Stopping),
                4 => {
                    shutdown.cancel();
                    // however much is left
                    Ok(1_000)
                }
                _ => panic!("it goes on after the end"),
            }
        };
        keep_deleting(delete, PAUSE, &shutdown).await;
        assert_eq!(calls.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_process_that_stops_deletes_nothing_more() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        keep_deleting(async || panic!("it begins after the end"), EVERY, &shutdown).await;
    }
}
