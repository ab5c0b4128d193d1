//! The headers of a dead letter. All values are text.

use ::kafka::message::{Header, Headers as _, OwnedHeaders};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};

/// All that this module writes begins with it, and nothing else of a record may.
const PREFIX: &str = "dlq.";
/// Headers that the trace's own layer writes anew.
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

pub(super) const REASON: &str = "dlq.reason";
pub(super) const ERROR_TYPE: &str = "dlq.error.type";
pub(super) const CLASS: &str = "dlq.exception.class";
pub(super) const TOPIC: &str = "dlq.original.topic";
pub(super) const PARTITION: &str = "dlq.original.partition";
pub(super) const OFFSET: &str = "dlq.original.offset";
pub(super) const TIMESTAMP: &str = "dlq.original.timestamp";
pub(super) const KEY: &str = "dlq.original.key";
pub(super) const KEY_BASE64: &str = "dlq.original.key.base64";
pub(super) const ATTEMPTS: &str = "dlq.attempts";
pub(super) const ATTEMPTS_TOTAL: &str = "dlq.attempts.total";
pub(super) const CONSUMER: &str = "dlq.consumer";
pub(super) const FAILED_AT: &str = "dlq.failed_at";
pub(super) const REPLAYS: &str = "dlq.replays";
pub(super) const HISTORY: &str = "dlq.history";
pub(super) const PATCHED: &str = "dlq.patched";

/// A record's own headers: neither ours nor the trace's. A header without a value keeps having none.
pub(super) fn own(headers: &OwnedHeaders) -> OwnedHeaders {
    let is_own = |key: &str| !key.starts_with(PREFIX) && !TRACE.contains(&key);
    headers.iter().filter(|header| is_own(header.key)).fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

pub(super) fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// The last header of that name, which is the one that counts, where it is text.
pub(super) fn text<'a>(headers: &'a OwnedHeaders, name: &str) -> Option<&'a str> {
    let all = headers.iter().filter(|header| header.key == name);
    std::str::from_utf8(all.last()?.value?).ok()
}

pub(super) fn number(headers: &OwnedHeaders, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// As text, else as base64 under another name.
pub(super) fn of_key(key: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(key) {
        Ok(text) => (KEY, text.to_owned()),
        Err(_) => (KEY_BASE64, BASE64_STANDARD.encode(key)),
    }
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
