//! What sells best: the sorted set that `analytics` keeps in Redis.

use bb8_redis::redis::cmd;
use chassis::redis::Redis;
use uuid::Uuid;

use crate::{config::LeaderboardConfig, error::CatalogError};

/// One per serving runtime.
pub(crate) struct Leaderboard {
    redis: Redis,
    config: LeaderboardConfig,
}

impl Leaderboard {
    pub(crate) fn new(redis: Redis, config: &LeaderboardConfig) -> Self {
        Self { redis, config: config.clone() }
    }

    /// Up to `limit` products of which more was sold than returned, and how much, most first.
    pub(crate) async fn top(&self, limit: u32) -> Result<Vec<(Uuid, i64)>, CatalogError> {
        let mut range = cmd("ZRANGE");
        range.arg(&self.config.key).arg(0).arg(i64::from(limit) - 1).arg("REV").arg("WITHSCORES");
        let mut connection = self.redis.connection().await?;
        let scores: Vec<(String, f64)> = range.query_async(&mut connection).await?;
        // a member that is no product's id is none of ours
        Ok(scores.into_iter().filter_map(|(member, units)| Some((member.parse().ok()?, whole(units)?))).collect())
    }
}

/// Sold pieces, where there are any.
#[allow(clippy::cast_possible_truncation, reason = "pieces are counted, far below 2^53")]
fn whole(units: f64) -> Option<i64> {
    (units > 0.0).then_some(units as i64)
}
