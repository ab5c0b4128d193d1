//! Sessions in Redis. Nothing there lasts without end:
//!
//! - `<prefix>session:<id>` holds a session, for as long as it lives,
//! - `<prefix>refresh:<id>` the digest of its current refresh token, for as long,
//! - `<prefix>user-sessions:<user>` the ids of a user's sessions by when they expire, for as long as the last of them.

use bb8_redis::redis::{AsyncCommands, ExistenceCheck, Expiry, SetExpiry, SetOptions, SortedSetAddOptions, pipe};
use chassis::redis::Redis;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{config::SessionConfig, error::AuthError};

/// Keys that one command deletes.
const BATCH: usize = 500;

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
}

/// What became of a refresh token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// It was the current one, and the next has its place.
    Done,
    /// It was another than the current one, which is now nobody's: the session has to be ended.
    Reused,
    /// There is no such session any more.
    Ended,
}

/// A client of one serving runtime.
#[derive(Clone)]
pub(crate) struct Sessions {
    redis: Redis,
    config: SessionConfig,
}

impl Sessions {
    pub(crate) fn new(redis: Redis, config: &SessionConfig) -> Self {
        Self { redis, config: config.clone() }
    }

    /// Opens a session.
    pub(crate) async fn open(&self, session_id: Uuid, user_id: Uuid, refresh_digest: &str) -> Result<(), AuthError> {
        let now = Utc::now();
        let session = serde_json::to_string(&Session { user_id, created_at: now })?;
        let (index, ttl) = (self.index(user_id), self.config.ttl_seconds);
        let mut connection = self.redis.connection().await?;
        let () = connection.set_ex(self.key(session_id), session, ttl).await?;
        let () = connection.set_ex(self.refresh_key(session_id), refresh_digest, ttl).await?;
        // all or nothing: the index must not be left without an end
        let mut listing = pipe();
        listing.atomic().zrembyscore(&index, "-inf", now.timestamp()).ignore();
        listing.zadd(&index, session_id.to_string(), self.expiry()).ignore().expire(&index, self.ttl()).ignore();
        Ok(listing.query_async(&mut connection).await?)
    }

    /// A session that is alive.
    pub(crate) async fn find(&self, session_id: Uuid) -> Result<Option<Session>, AuthError> {
        let value: Option<String> = self.redis.connection().await?.get(self.key(session_id)).await?;
        Ok(value.map(|value| serde_json::from_str(&value)).transpose()?)
    }

    /// When a session ends if nobody refreshes it.
    pub(crate) async fn expires_at(&self, session_id: Uuid) -> Result<Option<DateTime<Utc>>, AuthError> {
        // negative where there is none
        let left: i64 = self.redis.connection().await?.pttl(self.key(session_id)).await?;
        Ok((left >= 0).then(|| Utc::now() + TimeDelta::milliseconds(left)))
    }

    /// True where the session is alive and the user's.
    pub(crate) async fn is_alive(&self, session_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        Ok(self.find(session_id).await?.is_some_and(|session| session.user_id == user_id))
    }

    /// Lets a session live on from now, if it is alive.
    pub(crate) async fn prolong(&self, session_id: Uuid) -> Result<Option<Session>, AuthError> {
        let mut connection = self.redis.connection().await?;
        let value: Option<String> = connection.get_ex(self.key(session_id), Expiry::EX(self.config.ttl_seconds)).await?;
        let Some(session) = value.map(|value| serde_json::from_str::<Session>(&value)).transpose()? else { return Ok(None) };
        let (index, only_update) = (self.index(session.user_id), SortedSetAddOptions::update_only(None));
        let mut listing = pipe();
        listing.zadd_options(&index, session_id.to_string(), self.expiry(), &only_update).ignore();
        let () = listing.expire(&index, self.ttl()).ignore().query_async(&mut connection).await?;
        Ok(Some(session))
    }

    /// Puts the `next` refresh token in the place of the one that was `shown`. One command, so that of two who show the same
    /// one at most gets the next.
    pub(crate) async fn rotate(&self, session_id: Uuid, shown: &str, next: &str) -> Result<Rotation, AuthError> {
        let (existing, ttl) = (ExistenceCheck::XX, SetExpiry::EX(self.config.ttl_seconds));
        let options = SetOptions::default().conditional_set(existing).get(true).with_expiration(ttl);
        let before: Option<String> = self.redis.connection().await?.set_options(self.refresh_key(session_id), next, options).await?;
        Ok(match before {
            Some(before) if before == shown => Rotation::Done,
            Some(_) => Rotation::Reused,
            None => Rotation::Ended,
        })
    }

    /// Ends a session; false where it was not alive.
    pub(crate) async fn end(&self, session_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        let mut connection = self.redis.connection().await?;
        let deleted: usize = connection.del(&[self.key(session_id), self.refresh_key(session_id)]).await?;
        let _: usize = connection.zrem(self.index(user_id), session_id.to_string()).await?;
        Ok(deleted > 0)
    }

    /// Ends all sessions of a user.
    pub(crate) async fn end_all(&self, user_id: Uuid) -> Result<(), AuthError> {
        let (mut connection, index) = (self.redis.connection().await?, self.index(user_id));
        let ids: Vec<String> = connection.zrange(&index, 0, -1).await?;
        let ids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for ids in ids.chunks(BATCH) {
            let keys: Vec<_> = ids.iter().flat_map(|id| [self.key(*id), self.refresh_key(*id)]).collect();
            let _: usize = connection.del(&keys).await?;
        }
        let _: usize = connection.del(&index).await?;
        Ok(())
    }

    fn key(&self, session_id: Uuid) -> String {
        format!("{}session:{session_id}", self.config.key_prefix)
    }

    fn refresh_key(&self, session_id: Uuid) -> String {
        format!("{}refresh:{session_id}", self.config.key_prefix)
    }

    fn index(&self, user_id: Uuid) -> String {
        format!("{}user-sessions:{user_id}", self.config.key_prefix)
    }

    fn ttl(&self) -> i64 {
        // the configuration knows ten years at most
        i64::try_from(self.config.ttl_seconds).unwrap_or(i64::MAX)
    }

    /// When a session that lives from now on ends: seconds since 1970.
    fn expiry(&self) -> i64 {
        Utc::now().timestamp().saturating_add(self.ttl())
    }
}
