//! Sessions in Redis. Nothing there lasts without end:
//!
//! - `<prefix>session:<id>` holds a session, for as long as it lives (see [`Lifetime`]),
//! - `<prefix>refresh:<id>` the digest of its current refresh token, for as long,
//! - `<prefix>user-sessions:<user>` the ids of a user's sessions by when they expire, for as long as any of them can live.

use bb8_redis::redis::{AsyncCommands, ExistenceCheck, SetExpiry, SetOptions, SortedSetAddOptions, pipe};
use chassis::redis::Redis;
use chrono::{DateTime, TimeDelta, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{config::SessionConfig, error::AuthError, lifetime::Lifetime};

/// Keys that one command deletes.
const BATCH: usize = 500;

/// What is kept of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    /// From when on it lives for `session.ttl_seconds`. Here, so that a look at a session tells whether it is time to write.
    /// An older version wrote none: then a refresh does.
    #[serde(default = "Utc::now", with = "ts_milliseconds")]
    pub(crate) prolonged_at: DateTime<Utc>,
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
    lifetime: Lifetime,
}

impl Sessions {
    pub(crate) fn new(redis: Redis, config: &SessionConfig) -> Self {
        Self { redis, config: config.clone(), lifetime: Lifetime::new(config) }
    }

    /// Opens a session.
    pub(crate) async fn open(&self, session_id: Uuid, user_id: Uuid, refresh_digest: &str) -> Result<Session, AuthError> {
        let now = Utc::now();
        let session = Session { user_id, created_at: now, prolonged_at: now };
        let (index, end) = (self.index(user_id), self.end_of(&session));
        let ttl = Lifetime::seconds_to(end).unsigned_abs();
        let mut connection = self.redis.connection().await?;
        let () = connection.set_ex(self.key(session_id), serde_json::to_string(&session)?, ttl).await?;
        let () = connection.set_ex(self.refresh_key(session_id), refresh_digest, ttl).await?;
        // all or nothing: the index must not be left without an end
        let mut listing = pipe();
        listing.atomic().zrembyscore(&index, "-inf", now.timestamp()).ignore();
        listing.zadd(&index, session_id.to_string(), score(end)).ignore().expire(&index, self.ttl()).ignore();
        let () = listing.query_async(&mut connection).await?;
        Ok(session)
    }

    /// When a session ends if nobody uses it any more.
    pub(crate) fn end_of(&self, session: &Session) -> DateTime<Utc> {
        self.lifetime.end(session)
    }

    /// A session that is alive.
    pub(crate) async fn find(&self, session_id: Uuid) -> Result<Option<Session>, AuthError> {
        let value: Option<String> = self.redis.connection().await?.get(self.key(session_id)).await?;
        let session: Option<Session> = value.map(|value| serde_json::from_str(&value)).transpose()?;
        Ok(session.filter(|session| !self.lifetime.is_over(session, Utc::now())))
    }

    /// When a session ends if nobody uses it any more, as Redis has it.
    pub(crate) async fn expires_at(&self, session_id: Uuid) -> Result<Option<DateTime<Utc>>, AuthError> {
        // negative where there is none
        let left: i64 = self.redis.connection().await?.pttl(self.key(session_id)).await?;
        Ok((left >= 0).then(|| Utc::now() + TimeDelta::milliseconds(left)))
    }

    /// True where the session is alive and the user's.
    pub(crate) async fn is_alive(&self, session_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        Ok(self.find(session_id).await?.is_some_and(|session| session.user_id == user_id))
    }

    /// The same, of a session that is being used, which lets it live on: one command, but for a use now and then.
    pub(crate) async fn touch(&self, session_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        let Some(session) = self.find(session_id).await?.filter(|session| session.user_id == user_id) else { return Ok(false) };
        if self.lifetime.is_due(&session, Utc::now()) {
            // it is alive, whether this works or not: the next use tries again
            let _ = self.extend(session_id, session).await;
        }
        Ok(true)
    }

    /// Lets a session live on from now, if it is alive.
    pub(crate) async fn prolong(&self, session_id: Uuid) -> Result<Option<Session>, AuthError> {
        match self.find(session_id).await? {
            Some(session) => Ok(Some(self.extend(session_id, session).await?)),
            None => Ok(None),
        }
    }

    /// Writes only where something is: what is ended at this moment stays so. The index comes first, as it must not forget a
    /// session before its end.
    async fn extend(&self, session_id: Uuid, session: Session) -> Result<Session, AuthError> {
        let session = Session { prolonged_at: Utc::now(), ..session };
        let (index, end) = (self.index(session.user_id), self.end_of(&session));
        let (ttl, only_update) = (Lifetime::seconds_to(end), SortedSetAddOptions::update_only(None));
        let mut connection = self.redis.connection().await?;
        let mut listing = pipe();
        listing.zadd_options(&index, session_id.to_string(), score(end), &only_update).ignore().expire(&index, self.ttl()).ignore();
        let () = listing.query_async(&mut connection).await?;
        let options = existing(ttl);
        let _: Option<String> = connection.set_options(self.key(session_id), serde_json::to_string(&session)?, options).await?;
        let _: bool = connection.expire(self.refresh_key(session_id), ttl).await?;
        Ok(session)
    }

    /// Puts the `next` refresh token in the place of the one that was `shown`, until the session's `end`. One command, so that of
    /// two who show the same one at most gets the next.
    pub(crate) async fn rotate(&self, session_id: Uuid, end: DateTime<Utc>, shown: &str, next: &str) -> Result<Rotation, AuthError> {
        let options = existing(Lifetime::seconds_to(end)).get(true);
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

    /// Seconds that an index lives from now on: as long as any session of the user can.
    fn ttl(&self) -> i64 {
        // the configuration knows ten years at most
        i64::try_from(self.config.ttl_seconds).unwrap_or(i64::MAX)
    }
}

/// A session's place in the index: its end in seconds since 1970, rounded up.
fn score(end: DateTime<Utc>) -> i64 {
    end.timestamp().saturating_add(1)
}

/// Sets what is there, for so many seconds.
fn existing(seconds: i64) -> SetOptions {
    SetOptions::default().conditional_set(ExistenceCheck::XX).with_expiration(SetExpiry::EX(seconds.unsigned_abs()))
}
