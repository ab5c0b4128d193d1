//! How many logins may fail, for all replicas: fixed windows in Redis, which begin with the first failure.
//!
//! `<prefix>login-failures:user:<digest of the e-mail address>` counts those of an account, whether there is one or not, and
//! `<prefix>login-failures:client:<address>` those of a client.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bb8_redis::redis::{AsyncCommands, ExistenceCheck, SetExpiry, SetOptions, pipe};
use chassis::{client::network, redis::Redis, status::Violation};
use sha2::{Digest, Sha256};

use crate::{config::LoginConfig, error::AuthError};

/// Who tries to log in.
pub(crate) struct Attempt {
    /// Normalised, and not always an address.
    pub(crate) email: String,
    /// From where, as far as it is known.
    pub(crate) client: Option<IpAddr>,
}

impl Attempt {
    pub(crate) fn new(email: String, client_address: &str) -> Result<Self, AuthError> {
        if client_address.is_empty() {
            return Ok(Self { email, client: None });
        }
        let client = client_address.parse::<IpAddr>();
        let client = client.map_err(|_| Violation::new("client_address", "must be an IP address, or empty"))?;
        Ok(Self { email, client: Some(client.to_canonical()) })
    }
}

/// A client of one serving runtime.
#[derive(Clone)]
pub(crate) struct Throttle {
    redis: Redis,
    config: LoginConfig,
    prefix: String,
}

impl Throttle {
    pub(crate) fn new(redis: Redis, config: &LoginConfig, key_prefix: &str) -> Self {
        Self { redis, config: config.clone(), prefix: format!("{key_prefix}login-failures:") }
    }

    /// Refuses an attempt where too many have failed; else true where some of this account have.
    pub(crate) async fn check(&self, attempt: &Attempt) -> Result<bool, AuthError> {
        let keys = self.keys(attempt);
        let mut connection = self.redis.connection().await?;
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        let counts: Vec<Option<u32>> = bb8_redis::redis::cmd("MGET").arg(&names).query_async(&mut connection).await?;
        let mut wait = None;
        for ((key, limit), count) in keys.iter().zip(&counts) {
            if count.is_some_and(|count| count >= *limit) {
                // negative where the window has just ended
                let left: i64 = connection.pttl(key).await?;
                wait = wait.max(Some(Duration::from_millis(u64::try_from(left).unwrap_or_default())));
            }
        }
        match wait {
            Some(wait) => Err(AuthError::Throttled(wait)),
            None => Ok(counts.first().is_some_and(Option::is_some)),
        }
    }

    /// Counts a failure.
    pub(crate) async fn fail(&self, attempt: &Attempt) -> Result<(), AuthError> {
        let mut connection = self.redis.connection().await?;
        // all or nothing: a window without an end would never be forgotten
        let mut counting = pipe();
        counting.atomic();
        for (key, _) in self.keys(attempt) {
            let window = SetExpiry::EX(self.config.window_seconds);
            let begin = SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(window);
            counting.set_options(&key, 0, begin).ignore().cmd("INCR").arg(&key).ignore();
        }
        Ok(counting.query_async(&mut connection).await?)
    }

    /// Forgets the failures of an account. Those of the client stay: it may know one password and be guessing others.
    pub(crate) async fn forgive(&self, attempt: &Attempt) -> Result<(), AuthError> {
        let _: usize = self.redis.connection().await?.del(self.user_key(attempt)).await?;
        Ok(())
    }

    /// Counters with their limits.
    fn keys(&self, attempt: &Attempt) -> Vec<(String, u32)> {
        let client =
            attempt.client.map(|client| (format!("{}client:{}", self.prefix, network(client)), self.config.max_failures_per_address));
        [(self.user_key(attempt), self.config.max_failures)].into_iter().chain(client).collect()
    }

    fn user_key(&self, attempt: &Attempt) -> String {
        format!("{}user:{}", self.prefix, URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.email)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_unknown() {
        let cases = [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:DB8::4:5", "2001:db8::4:5"), ("::1", "::1")];
        for (given, known) in cases {
            assert_eq!(Attempt::new(String::new(), given).unwrap().client.unwrap().to_string(), known);
        }
        assert!(Attempt::new(String::new(), "").unwrap().client.is_none());
        for wrong in ["localhost", "192.0.2.7:80", "192.0.2", " ", "fe80::1%eth0"] {
            assert!(matches!(Attempt::new(String::new(), wrong), Err(AuthError::Invalid(fields)) if fields[0].field == "client_address"));
        }
    }
}
