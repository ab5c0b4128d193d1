//! Sessions: all Redis of `auth`. `<prefix>session:<id>` holds a session, for as long as it lives.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bb8_redis::redis::AsyncCommands;
use chassis::redis::Redis;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{config::SessionConfig, error::AuthError};

/// What is kept of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    user_id: Uuid,
    /// base64url of the refresh token's SHA-256: who reads Redis cannot refresh.
    refresh_token_sha256: String,
    created_at: DateTime<Utc>,
}

/// A session that was opened.
pub(crate) struct Opened {
    pub(crate) session_id: Uuid,
    /// Known to the client only.
    pub(crate) refresh_token: String,
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
    pub(crate) async fn open(&self, user_id: Uuid) -> Result<Opened, AuthError> {
        let refresh_token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let session =
            Session { user_id, refresh_token_sha256: URL_SAFE_NO_PAD.encode(Sha256::digest(&refresh_token)), created_at: Utc::now() };
        let session_id = Uuid::now_v7();
        let value = serde_json::to_string(&session)?;
        let mut connection = self.redis.connection().await?;
        let _: () = connection.set_ex(self.key(session_id), value, self.config.ttl_seconds).await?;
        Ok(Opened { session_id, refresh_token })
    }

    /// True where the session is alive and the user's.
    pub(crate) async fn is_alive(&self, session_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        let value: Option<String> = self.redis.connection().await?.get(self.key(session_id)).await?;
        let session = value.map(|value| serde_json::from_str::<Session>(&value)).transpose()?;
        Ok(session.is_some_and(|session| session.user_id == user_id))
    }

    /// Ends a session.
    pub(crate) async fn end(&self, session_id: Uuid) -> Result<(), AuthError> {
        Ok(self.redis.connection().await?.del(self.key(session_id)).await?)
    }

    fn key(&self, session_id: Uuid) -> String {
        format!("{}session:{session_id}", self.config.key_prefix)
    }
}
