//! All users, batch by batch: neither a table in memory nor a connection for as long as somebody reads.

use db::pool::Pool;
use futures::{Stream, TryStreamExt, stream};
use proto::auth::ListUsersResponse;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::{
    error::AuthError,
    store::users,
    user::{User, token_after},
};

/// Users that one statement reads.
const BATCH: u64 = 500;

/// Where a list stands.
struct Place {
    after: Option<Uuid>,
    left: u64,
}

/// Users after `after`, `limit` at most; 0: all.
pub(crate) fn list(
    pool: Pool,
    shutdown: CancellationToken,
    after: Option<Uuid>,
    limit: u32,
) -> impl Stream<Item = Result<ListUsersResponse, Status>> + Send + 'static {
    let left = if limit == 0 { u64::MAX } else { limit.into() };
    let batches = stream::try_unfold(Place { after, left }, move |place| {
        let (pool, shutdown) = (pool.clone(), shutdown.clone());
        async move {
            if shutdown.is_cancelled() {
                return Err(Status::from(AuthError::Stopping));
            }
            Ok(next_batch(&pool, place).await?)
        }
    });
    batches.map_ok(|users| stream::iter(users.into_iter().map(|user| Ok(response(user))))).try_flatten()
}

async fn next_batch(pool: &Pool, place: Place) -> Result<Option<(Vec<User>, Place)>, AuthError> {
    let size = place.left.min(BATCH);
    let read = async {
        let mut connection = pool.get().await?;
        Ok::<_, AuthError>(users::page(&mut connection, place.after, i64::try_from(size).unwrap_or(i64::MAX)).await?)
    };
    let users = if size == 0 { Vec::new() } else { pool.bounded(read).await? };
    let Some(last) = users.last() else { return Ok(None) };
    // a batch that is not full was the last: no statement to find that out
    let is_full = u64::try_from(users.len()).is_ok_and(|length| length == size);
    let next = Place { after: Some(last.user_id), left: if is_full { place.left - size } else { 0 } };
    Ok(Some((users, next)))
}

fn response(user: User) -> ListUsersResponse {
    ListUsersResponse { page_token: token_after(user.user_id), user: Some(user.into()) }
}
