//! Access tokens whose signature was found good, remembered until they expire. Whether the session is alive is no part of it.

use std::time::{Duration, Instant};

use chrono::Utc;
use moka::{Expiry, future::Cache};
use sha2::{Digest, Sha256};

use crate::{
    error::AuthError,
    token::{Claims, Tokens},
};

/// Tokens that are remembered at most; some 400 bytes each.
const CAPACITY: u64 = 50_000;

type Key = [u8; 32];

/// Checks access tokens. Clones share what is remembered, on all threads.
#[derive(Clone)]
pub(crate) struct VerifiedTokens {
    tokens: Tokens,
    known: Cache<Key, Claims>,
}

impl VerifiedTokens {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self { tokens, known: Cache::builder().max_capacity(CAPACITY).expire_after(AtExpiry).build() }
    }

    /// The claims of a good token.
    pub(crate) async fn check(&self, token: &str) -> Result<Claims, AuthError> {
        let key: Key = Sha256::digest(token).into();
        if let Some(claims) = self.known.get(&key).await {
            return claims.in_time();
        }
        let claims = self.tokens.check(token)?;
        self.known.insert(key, claims.clone()).await;
        Ok(claims)
    }
}

struct AtExpiry;

impl Expiry<Key, Claims> for AtExpiry {
    fn expire_after_create(&self, _: &Key, claims: &Claims, _: Instant) -> Option<Duration> {
        Some((claims.expires_at() - Utc::now()).to_std().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::Secret;
    use uuid::Uuid;

    use super::*;
    use crate::{
        config::{Config, JwtConfig},
        user::{Role, User},
    };

    fn tokens(access_ttl_seconds: u64) -> Tokens {
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        Tokens::new(&JwtConfig { secret, access_ttl_seconds, ..Config::default().jwt })
    }

    fn issued(tokens: &Tokens) -> String {
        let (user_id, username, email) = (Uuid::now_v7(), "ada".into(), "a@b.c".into());
        tokens.issue(&User { user_id, username, email, role: Role::User, version: 1, created_at: Utc::now() }, Uuid::now_v7()).unwrap()
    }

    #[tokio::test]
    async fn only_good_tokens_are_remembered_and_each_for_itself() {
        let verified = VerifiedTokens::new(tokens(60));
        let (one, other) = (issued(&verified.tokens), issued(&verified.tokens));
        for _ in 0..2 {
            for token in [&one, &other] {
                assert_eq!(verified.check(token).await.unwrap(), verified.tokens.check(token).unwrap());
            }
            assert!(matches!(verified.check(&format!("{one}x")).await, Err(AuthError::TokenInvalid)));
        }
        verified.known.run_pending_tasks().await;
        assert_eq!(verified.known.entry_count(), 2);
    }

    #[tokio::test]
    async fn a_token_expires_though_it_is_remembered() {
        let verified = VerifiedTokens::new(tokens(60));
        let token = issued(&verified.tokens);
        let claims = verified.check(&token).await.unwrap();
        let key: Key = Sha256::digest(&token).into();
        verified.known.insert(key, Claims { exp: Utc::now().timestamp(), ..claims.clone() }).await;
        // whether it is forgotten in time or seen to be too old
        let mut copy = claims;
        copy.exp = Utc::now().timestamp() + 1;
        let soon: Key = Sha256::digest("soon").into();
        verified.known.insert(soon, copy).await;
        chassis::testing::eventually("forgotten", async || verified.known.get(&soon).await.is_none()).await;
    }
}
