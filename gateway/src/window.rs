//! The sliding window that callers can use as a limiter of their own.

use std::time::Duration;

use proto::catalog::{CheckRateLimitRequest, CheckRateLimitResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    error::Error,
    field::{Field, Form, Object, text_field},
    middleware::is_visible,
};

fn is_key(text: &str) -> bool {
    is_visible(text.as_bytes(), 64)
}

text_field!(WindowKey, 1 to 64, "must be 1 to 64 visible ASCII characters", like "^[!-~]{1,64}$" when is_key);

#[derive(ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 10_000)]
pub(crate) struct Places(u32);

impl Field for Places {
    const ALLOWED: &'static str = "must be a whole number from 1 to 10000";

    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|places| (1..=10_000).contains(places)).and_then(|places| u32::try_from(places).ok()).map(Self)
    }
}

#[derive(ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 3_600)]
pub(crate) struct Seconds(u32);

impl Field for Seconds {
    const ALLOWED: &'static str = "must be a whole number from 1 to 3600";

    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|seconds| (1..=3_600).contains(seconds)).and_then(|seconds| u32::try_from(seconds).ok()).map(Self)
    }
}

/// `POST /rate-limit/check`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// Whose window, among the caller's own.
    key: WindowKey,
    /// Places of the window.
    limit: Places,
    window_seconds: Seconds,
}

impl Form for Check {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (key, limit, window_seconds) = (object.field("key"), object.field("limit"), object.field("window_seconds"));
        Some(Self { key: key?, limit: limit?, window_seconds: window_seconds? })
    }
}

impl Check {
    /// The call that takes a place in a window of `caller`.
    pub(crate) fn into_request(self, caller: &Caller) -> CheckRateLimitRequest {
        let key = format!("{}:{}", caller.user_id, self.key.0);
        CheckRateLimitRequest { key, limit: self.limit.0, window_seconds: self.window_seconds.0 }
    }
}

/// A place in the window.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checked {
    allowed: bool,
    limit: u32,
    /// Places that are left.
    remaining: u32,
    /// Milliseconds until all places are free.
    reset_after_ms: u64,
}

impl TryFrom<CheckRateLimitResponse> for Checked {
    type Error = Error;

    fn try_from(answer: CheckRateLimitResponse) -> Result<Self, Error> {
        let CheckRateLimitResponse { allowed, limit, remaining, retry_after_ms, reset_after_ms } = answer;
        if !allowed {
            return Err(Error::RateLimited { retry_after: Duration::from_millis(retry_after_ms) });
        }
        Ok(Self { allowed, limit, remaining, reset_after_ms })
    }
}
