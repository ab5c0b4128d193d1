//! The gRPC services: from messages to the domain and back.

mod auth;
mod sessions;
mod users;

use std::sync::Arc;

use chassis::{Process, StartError, redis::Redis};
use db::pool::Pool;
use events::{relay::RelayHandle, tail::Tail};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

use crate::{
    NAME,
    caller::{Caller, bearer},
    config::{Config, StreamConfig},
    error::AuthError,
    password::Passwords,
    refresh::RefreshTokens,
    rooms::Rooms,
    session::Sessions,
    throttle::Throttle,
    token::{Claims, Tokens},
    trust::Trust,
    verified::VerifiedTokens,
};

pub(crate) use auth::AuthApi;
pub(crate) use sessions::SessionApi;
pub(crate) use users::UserApi;

/// What all serving runtimes share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) verified: VerifiedTokens,
    pub(crate) trust: Trust,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) relay: RelayHandle,
    pub(crate) tail: Tail,
    pub(crate) rooms: Rooms,
    pub(crate) stream: StreamConfig,
    pub(crate) shutdown: CancellationToken,
}

/// What the services of one serving runtime have in common.
pub(crate) struct Auth {
    pub(crate) shared: Shared,
    pub(crate) pool: Pool,
    pub(crate) redis: Redis,
    pub(crate) sessions: Sessions,
    pub(crate) throttle: Throttle,
}

impl Auth {
    /// Makes the clients of the current runtime.
    pub(crate) fn new(config: &Config, shared: Shared, process: &Process) -> Result<Arc<Self>, StartError> {
        let redis = Redis::new(&config.redis, NAME, process)?;
        Ok(Arc::new(Self {
            shared,
            pool: Pool::new(&config.database, NAME, process)?,
            sessions: Sessions::new(redis.clone(), &config.session),
            throttle: Throttle::new(redis.clone(), &config.login, &config.session.key_prefix),
            redis,
        }))
    }

    /// The claims of a good token that is believed (see [`Trust`]): where nothing is changed. A use of its session.
    pub(crate) async fn believe(&self, token: &str) -> Result<Claims, AuthError> {
        let claims = self.shared.verified.check(token).await?;
        let is_alive = self.sessions.touch(claims.sid, claims.sub).await;
        self.shared.trust.judge(claims, is_alive)
    }

    /// Who calls to read what needs no Redis.
    pub(crate) async fn reader(&self, metadata: &MetadataMap) -> Result<Caller, AuthError> {
        Ok(self.believe(bearer(metadata)?).await?.into())
    }

    /// Who calls.
    pub(crate) async fn caller(&self, metadata: &MetadataMap) -> Result<Caller, AuthError> {
        let claims = self.shared.verified.check(bearer(metadata)?).await?;
        if self.sessions.touch(claims.sid, claims.sub).await? { Ok(claims.into()) } else { Err(AuthError::SessionEnded) }
    }
}
