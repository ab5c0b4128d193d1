//! Changes that are made again where they met others at the same rows.

use std::time::Duration;

use db::pool::{Pool, PooledConnection};
use tokio::time::sleep;

use crate::error::OrderError;

/// How often a change is tried in all.
const ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; before the third it is twice as long.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a change, whole and from its beginning, until it no longer meets others; each time on a connection of the pool, which
/// nobody keeps during the pauses. Their length is drawn, so that two that met do not meet again. How long all of it may take is the
/// caller's to say.
///
/// # Errors
/// The change's own; `Conflict` where it has met others each time; `Unavailable` where there is no connection.
pub(crate) async fn repeated<'p, T, F>(pool: &'p Pool, mut change: impl FnMut(PooledConnection<'p>) -> F) -> Result<T, OrderError>
where
    F: Future<Output = Result<T, OrderError>>,
{
    let mut attempt = 1;
    loop {
        let answer = change(pool.get().await?).await;
        if attempt == ATTEMPTS || !matches!(answer, Err(OrderError::Conflict(_))) {
            return answer;
        }
        sleep((PAUSE * attempt).mul_f64(rand::random())).await;
        attempt += 1;
    }
}
