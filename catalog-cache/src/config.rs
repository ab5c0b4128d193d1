//! Configuration of `catalog-cache`.

use std::time::Duration;

use chassis::{
    config::{Address, Common, Problems, ServiceConfig},
    redis::RedisConfig,
};
use db::pool::DatabaseConfig;
use serde::{Deserialize, Serialize};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have.
    #[serde(flatten)]
    pub common: Common,
    /// gRPC.
    pub server: Address,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// What is kept in Redis, and for how long.
    pub cache: CacheConfig,
    /// The sliding windows.
    pub limiter: LimiterConfig,
    /// What sells best.
    pub leaderboard: LeaderboardConfig,
}

/// The `cache` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Put before a product's id to make its key.
    pub key_prefix: String,
    /// Put before a post's id to make its key.
    pub post_key_prefix: String,
    /// Seconds that something is fresh at most.
    pub ttl_seconds: u64,
    /// Seconds that it is kept beyond that, for when Postgres does not answer; 0: not at all.
    pub stale_seconds: u64,
    /// Seconds that it is remembered at most that an id is unknown.
    pub unknown_ttl_seconds: u64,
    /// The share of a lifetime that is cut off at random, so that what was loaded together does not expire together.
    pub jitter_ratio: f64,
    /// Products, and as many posts, that each process keeps itself, in front of Redis; one of more than 4 KiB counts as
    /// several. 0: none.
    pub near_entries: u64,
    /// Milliseconds that a process serves what it keeps itself.
    pub near_ttl_ms: u64,
    /// Loads that one process has at a time in Postgres while Redis does not answer.
    pub fallback_concurrency: usize,
    /// Loads that wait for that; more are refused.
    pub fallback_queue: usize,
    /// Milliseconds that they wait.
    pub fallback_wait_ms: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            key_prefix: "throughline:catalog:product:".into(),
            post_key_prefix: "throughline:catalog:post:".into(),
            ttl_seconds: 300,
            stale_seconds: 600,
            unknown_ttl_seconds: 10,
            jitter_ratio: 0.2,
            near_entries: 0,
            near_ttl_ms: 2_000,
            fallback_concurrency: 8,
            fallback_queue: 100,
            fallback_wait_ms: 300,
        }
    }
}

/// The `limiter` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimiterConfig {
    /// Put before a window's key.
    pub key_prefix: String,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self { key_prefix: "throughline:limit:".into() }
    }
}

/// The `leaderboard` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderboardConfig {
    /// The sorted set of units by product id: `leaderboard_key` of `analytics`.
    pub key: String,
}

impl Default for LeaderboardConfig {
    fn default() -> Self {
        Self { key: "throughline:leaderboard:products".into() }
    }
}

/// In seconds.
const YEAR: u64 = 31_536_000;

impl CacheConfig {
    fn check(&self, problems: &mut Problems) {
        for (key, value) in [("cache.key_prefix", &self.key_prefix), ("cache.post_key_prefix", &self.post_key_prefix)] {
            if value.is_empty() {
                problems.add(key, value, "any text that no other keys begin with");
            }
        }
        if self.key_prefix == self.post_key_prefix {
            problems.add("cache.post_key_prefix", &self.post_key_prefix, "another text than cache.key_prefix");
        }
        for (key, value, allowed) in [
            ("cache.ttl_seconds", self.ttl_seconds, 1..=YEAR),
            ("cache.stale_seconds", self.stale_seconds, 0..=YEAR),
            ("cache.unknown_ttl_seconds", self.unknown_ttl_seconds, 1..=YEAR),
            ("cache.near_entries", self.near_entries, 0..=1_000_000),
            ("cache.near_ttl_ms", self.near_ttl_ms, 1..=60_000),
            ("cache.fallback_concurrency", self.fallback_concurrency as u64, 1..=1_000),
            ("cache.fallback_queue", self.fallback_queue as u64, 0..=100_000),
            ("cache.fallback_wait_ms", self.fallback_wait_ms, 1..=60_000),
        ] {
            if !allowed.contains(&value) {
                problems.add(key, &value, &format!("{} to {}", allowed.start(), allowed.end()));
            }
        }
        if !(0.0..=1.0).contains(&self.jitter_ratio) {
            problems.add("cache.jitter_ratio", &self.jitter_ratio, "a number from 0 to 1");
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9102),
            server: Address::local(50052),
            // a read waits for Redis and then for Postgres where both hang: together less than orders waits for us
            database: DatabaseConfig { acquire_timeout_ms: 600, work_timeout_ms: 700, ..DatabaseConfig::default() },
            redis: RedisConfig { connect_timeout_ms: 200, response_timeout_ms: 300, ..RedisConfig::default() },
            cache: CacheConfig::default(),
            limiter: LimiterConfig::default(),
            leaderboard: LeaderboardConfig::default(),
        }
    }
}

impl Config {
    /// How long what a reader loads may be on its way to the cache.
    pub(crate) fn guard(&self) -> Duration {
        let millis = [self.database.work_timeout_ms, self.redis.connect_timeout_ms, self.redis.response_timeout_ms];
        millis.into_iter().map(Duration::from_millis).fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.database.check(problems);
        self.redis.check(problems);
        self.cache.check(problems);
        for (key, value, allowed) in [
            ("limiter.key_prefix", &self.limiter.key_prefix, "any text that no other keys begin with"),
            ("leaderboard.key", &self.leaderboard.key, "a key"),
        ] {
            if value.is_empty() {
                problems.add(key, value, allowed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chassis::config::read_with;

    use super::*;

    #[test]
    fn every_mistake_is_named() {
        let mistakes = [
            ("cache.ttl_seconds", "0"),
            ("cache.stale_seconds", "31536001"),
            ("cache.near_entries", "1000001"),
            ("cache.near_ttl_ms", "0"),
            ("cache.fallback_concurrency", "0"),
            ("cache.fallback_queue", "100001"),
            ("cache.fallback_wait_ms", "0"),
            ("cache.jitter_ratio", "1.5"),
            ("cache.key_prefix", ""),
            ("redis.pool_size", "0"),
            ("limiter.key_prefix", ""),
            ("leaderboard.key", ""),
        ];
        let overrides: BTreeMap<_, _> = mistakes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let found: Vec<_> = read_with::<Config>(None, overrides).unwrap_err().problems.into_iter().map(|problem| problem.key).collect();
        let expected = [
            "database.url",
            "redis.pool_size",
            "cache.key_prefix",
            "cache.ttl_seconds",
            "cache.stale_seconds",
            "cache.near_entries",
            "cache.near_ttl_ms",
            "cache.fallback_concurrency",
            "cache.fallback_queue",
            "cache.fallback_wait_ms",
            "cache.jitter_ratio",
            "limiter.key_prefix",
            "leaderboard.key",
        ];
        assert_eq!(found, expected);
    }
}
