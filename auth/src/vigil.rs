//! Until when something may be sent to a caller.

use std::time::Duration;

use chrono::Utc;
use tokio::time::sleep;

use crate::{caller::Caller, error::AuthError, service::Auth};

/// Completes, with the reason, when the process stops, the caller's token expires, or its session has ended; at the last it looks
/// now and then.
pub(crate) fn end_of(auth: &Auth, caller: &Caller) -> impl Future<Output = AuthError> + Send + 'static {
    let (sessions, shutdown) = (auth.sessions.clone(), auth.shared.shutdown.clone());
    let every = Duration::from_secs(auth.shared.stream.session_check_seconds);
    let (session_id, user_id) = (caller.session_id, caller.user_id);
    let left = (caller.expires_at - Utc::now()).to_std().unwrap_or_default();
    let session_ends = async move {
        loop {
            sleep(every).await;
            // while Redis is away nobody knows: the token's time is the bound
            if let Ok(false) = sessions.is_alive(session_id, user_id).await {
                return;
            }
        }
    };
    async move {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => AuthError::Stopping,
            () = sleep(left) => AuthError::TokenExpired,
            () = session_ends => AuthError::SessionEnded,
        }
    }
}
