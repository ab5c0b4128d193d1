//! A sliding window in Redis, the same for all replicas.
//!
//! A key is a sorted set of the moments, in microseconds of Redis' clock, at which its places were taken. A script, because
//! looking and taking have to be one step, and because no caller's clock counts.

use bb8_redis::redis::cmd;
use chassis::redis::Redis;
use proto::catalog::{CheckRateLimitRequest, CheckRateLimitResponse};

use crate::{config::LimiterConfig, error::CatalogError, field::Fields};

const MAX_KEY: usize = 128;
const MAX_LIMIT: u32 = 10_000;
const MAX_WINDOW: u32 = 3_600;

/// A place that was taken at T is free again at T + window. Returns whether one was taken, how many are taken now, and in how
/// many microseconds one is free and all are.
const TAKE: &str = "
local key, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(moment) return string.format('%.0f', moment) end
redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - window))
local taken = redis.call('ZCARD', key)
local allowed = taken < limit
if allowed then
    local moment = now
    -- a moment is there once: the next call of the same microsecond takes the next one
    while redis.call('ZADD', key, 'NX', text(moment), text(moment)) == 0 do moment = moment + 1 end
    redis.call('PEXPIRE', key, text(window / 1000 + 1))
    taken = taken + 1
end
local function free_in(place) return redis.call('ZRANGE', key, place, place)[1] + window - now end
return { allowed and 1 or 0, taken, taken < limit and 0 or free_in(taken - limit), free_in(taken - 1) }";

/// Who asks for a place, and in what window: checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    key: String,
    limit: u32,
    window_seconds: u32,
}

impl Asked {
    /// Checks a request; every mistake is named.
    pub(crate) fn read(request: CheckRateLimitRequest) -> Result<Self, CatalogError> {
        let CheckRateLimitRequest { key, limit, window_seconds } = request;
        let mut fields = Fields::default();
        if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|sign| sign.is_ascii_graphic()) {
            fields.refuse("key", format!("must be 1 to {MAX_KEY} visible ASCII characters"));
        }
        for (field, value, most) in [("limit", limit, MAX_LIMIT), ("window_seconds", window_seconds, MAX_WINDOW)] {
            if !(1..=most).contains(&value) {
                fields.refuse(field, format!("must be 1 to {most}"));
            }
        }
        fields.done(Self { key, limit, window_seconds })
    }
}

/// One per serving runtime.
pub(crate) struct Limiter {
    redis: Redis,
    config: LimiterConfig,
}

impl Limiter {
    pub(crate) fn new(redis: Redis, config: &LimiterConfig) -> Self {
        Self { redis, config: config.clone() }
    }

    /// Takes a place where one is free. At most `limit` moments are kept, and no longer than a window.
    pub(crate) async fn take(&self, asked: &Asked) -> Result<CheckRateLimitResponse, CatalogError> {
        let Asked { key, limit, window_seconds } = asked;
        // windows of different lengths forget at different times: each has a set of its own
        let key = format!("{}{window_seconds}:{key}", self.config.key_prefix);
        let mut connection = self.redis.connection().await?;
        let (allowed, taken, free_in, all_free_in): (bool, u32, u64, u64) =
            cmd("EVAL").arg(TAKE).arg(1).arg(key).arg(limit).arg(window_seconds).query_async(&mut connection).await?;
        Ok(CheckRateLimitResponse {
            allowed,
            limit: *limit,
            remaining: limit.saturating_sub(taken),
            retry_after_ms: free_in.div_ceil(1_000),
            reset_after_ms: all_free_in.div_ceil(1_000),
        })
    }
}
