//! Logging in, going on, and logging out.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use db::connection::Connection;
use diesel_async::AsyncConnection;
use events::contract::{UserLoggedIn, UserLoggedOut};
use uuid::Uuid;

use crate::{
    error::AuthError,
    lifetime::EndReason,
    refresh::RefreshToken,
    service::Auth,
    session::{Rotation, Session},
    store::{outbox::tell, sessions, users},
    throttle::Attempt,
    user::{User, is_email},
};

/// A session with the next refresh token. Has no `Debug`.
pub(crate) struct Opened {
    pub(crate) user: User,
    pub(crate) session_id: Uuid,
    pub(crate) refresh_token: RefreshToken,
}

impl Auth {
    /// Opens a session for who knows the password.
    pub(crate) async fn login(&self, attempt: &Attempt, password: String) -> Result<Opened, AuthError> {
        let (user, hash) = self.authenticate(attempt, password).await?;
        self.open_session(user.user_id, &hash, attempt.client).await
    }

    /// The user, and the hash of the password that was right.
    async fn authenticate(&self, attempt: &Attempt, password: String) -> Result<(User, String), AuthError> {
        let find = async {
            let mut connection = self.pool.get().await?;
            Ok::<_, AuthError>(users::find_by_email(&mut connection, &attempt.email).await?)
        };
        let found = if is_email(&attempt.email) { self.pool.bounded(find).await? } else { None };
        let hash = found.as_ref().map(|(_, hash)| hash.clone());
        // from the look at the failures until the next is counted: of many who guess at once no more get through than hash at once
        let place = self.shared.passwords.place().await?;
        let has_failed = self.throttle.check(attempt).await?;
        let (place, right) = self.shared.passwords.verify(place, password, hash).await?;
        let Some(found) = found.filter(|_| right) else {
            self.throttle.fail(attempt).await?;
            return Err(AuthError::WrongCredentials);
        };
        drop(place);
        if has_failed {
            self.throttle.forgive(attempt).await?;
        }
        Ok(found)
    }

    /// Opens a session and tells of it. A session that nobody was told of is ended again.
    async fn open_session(&self, user_id: Uuid, hash: &str, client: Option<IpAddr>) -> Result<Opened, AuthError> {
        let session_id = Uuid::now_v7();
        let refresh_token = self.shared.refresh_tokens.issue(session_id)?;
        let session = self.sessions.open(session_id, user_id, &refresh_token.digest).await?;
        match self.pool.bounded(self.confirm(session_id, &session, hash, client)).await {
            Ok(user) => {
                self.shared.relay.wake();
                Ok(Opened { user, session_id, refresh_token })
            }
            Err(error) => {
                self.sessions.end(session_id, user_id).await?;
                Err(error)
            }
        }
    }

    /// Whoever deletes the account or changes its password ends its sessions: either they see the new one, or this sees the
    /// change.
    async fn confirm(&self, session_id: Uuid, session: &Session, hash: &str, client: Option<IpAddr>) -> Result<User, AuthError> {
        let (mut connection, user_id) = (self.pool.get().await?, session.user_id);
        let confirmed = connection.transaction(async |connection| {
            let held = users::hold(connection, user_id).await?;
            let (user, _) = held.filter(|(_, current)| current == hash).ok_or(AuthError::WrongCredentials)?;
            sessions::insert(connection, session_id, session, client, self.sessions.end_of(session)).await?;
            tell(connection, user_id, user.version, UserLoggedIn { user_id, session_id, timestamp: Utc::now() }).await?;
            Ok(user)
        });
        confirmed.await
    }

    /// Exchanges a refresh token. One that was exchanged before ends its session.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Opened, AuthError> {
        let (session_id, shown) = self.shared.refresh_tokens.check(token)?;
        let session = self.sessions.prolong(session_id).await?.ok_or(AuthError::SessionEnded)?;
        // read before the token is spent: while Postgres is away nobody loses a session
        let Some(user) = self.find_user(session.user_id).await? else {
            self.cut_off(session_id, session.user_id, EndReason::UserDeleted).await?;
            return Err(AuthError::SessionEnded);
        };
        let (next, end) = (self.shared.refresh_tokens.issue(session_id)?, self.sessions.end_of(&session));
        match self.sessions.rotate(session_id, end, &shown.digest, &next.digest).await? {
            Rotation::Done => {
                self.note_refresh(session_id, end).await;
                Ok(Opened { user, session_id, refresh_token: next })
            }
            Rotation::Ended => Err(AuthError::SessionEnded),
            Rotation::Reused => {
                self.cut_off(session_id, user.user_id, EndReason::RefreshReused).await?;
                Err(AuthError::TokenReused)
            }
        }
    }

    /// Writes down that a session was refreshed. The old token is spent: what cannot be written must not cost the next one.
    async fn note_refresh(&self, session_id: Uuid, expires_at: DateTime<Utc>) {
        let note = async {
            let mut connection = self.pool.get().await?;
            Ok::<_, AuthError>(sessions::refreshed(&mut connection, session_id, expires_at).await?)
        };
        if let Err(error) = self.pool.bounded(note).await {
            tracing::warn!(%error, "a refresh could not be written down");
        }
    }

    /// Ends a session, whether somebody can be told or not.
    async fn cut_off(&self, session_id: Uuid, user_id: Uuid, reason: EndReason) -> Result<(), AuthError> {
        self.sessions.end(session_id, user_id).await?;
        let tell = async {
            let mut connection = self.pool.get().await?;
            connection.transaction(async |connection| told_ended(connection, session_id, user_id, reason).await).await
        };
        self.pool.bounded(tell).await?;
        self.shared.relay.wake();
        Ok(())
    }

    /// Ends a session and tells of it, both or neither; false where it was not alive.
    pub(crate) async fn end_session(&self, session_id: Uuid, user_id: Uuid, reason: EndReason) -> Result<bool, AuthError> {
        if !self.sessions.is_alive(session_id, user_id).await? {
            return Ok(false);
        }
        let end = async {
            let mut connection = self.pool.get().await?;
            let ended = connection.transaction(async |connection| {
                told_ended(connection, session_id, user_id, reason).await?;
                if self.sessions.end(session_id, user_id).await? { Ok(()) } else { Err(AuthError::SessionEnded) }
            });
            ended.await
        };
        match self.pool.bounded(end).await {
            Ok(()) => {
                self.shared.relay.wake();
                Ok(true)
            }
            // by somebody else, who tells of it
            Err(AuthError::SessionEnded) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Writes down that a session ends and why, and tells of it; of a user that is gone nothing more is told.
async fn told_ended(connection: &mut Connection, session_id: Uuid, user_id: Uuid, reason: EndReason) -> Result<(), AuthError> {
    sessions::end(connection, session_id, reason).await?;
    let Some(user) = users::find(connection, user_id).await? else { return Ok(()) };
    tell(connection, user_id, user.version, UserLoggedOut { user_id, session_id, timestamp: Utc::now() }).await
}
