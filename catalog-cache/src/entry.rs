//! An entry of the cache as it stands in Redis.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::catalog::Kept;

/// A deleted id's entry.
pub(crate) const GONE: &str = r#"{"gone":true,"version":9223372036854775807}"#;
/// The entry of an id of which a reader found nothing.
pub(crate) const UNKNOWN: &str = "null";

/// A value that is kept, and until when it is as good as new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry<T> {
    /// Milliseconds since 1970, by the clock of who wrote it.
    fresh_until: u64,
    version: i64,
    pub(crate) value: T,
}

impl<T> Entry<T> {
    pub(crate) fn is_fresh(&self) -> bool {
        now() < self.fresh_until
    }

    /// Whether it is fresh for longer than until `end`, milliseconds since 1970.
    pub(crate) fn outlives(&self, end: u64) -> bool {
        self.fresh_until > end
    }

    /// What its text begins with. A key has no two entries that begin alike and differ.
    pub(crate) fn head(&self) -> String {
        format!(r#"{{"fresh_until":{},"version":{},"#, self.fresh_until, self.version)
    }
}

/// Milliseconds since 1970 in as many seconds.
pub(crate) fn end_of(seconds: u64) -> u64 {
    now().saturating_add(seconds.saturating_mul(1_000))
}

/// The next moment, in milliseconds since 1970, that is a multiple of `seconds`, which all processes agree on.
pub(crate) fn common_end(seconds: u64) -> u64 {
    let period = seconds.saturating_mul(1_000).max(1);
    (now() / period + 1) * period
}

/// The text of an entry that is fresh until then.
pub(crate) fn write<T: Kept>(value: &T, fresh_until: u64) -> String {
    serde_json::to_string(&Entry { fresh_until, version: value.version(), value }).unwrap_or_default()
}

/// What an entry says; none where it says that there is nothing.
pub(crate) fn read<T: Kept>(text: &[u8]) -> serde_json::Result<Option<Entry<T>>> {
    if text == GONE.as_bytes() { Ok(None) } else { serde_json::from_slice(text) }
}

/// `ttl` seconds without up to `ratio` of them, at least 1; `chance` is from 0 to 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a year of seconds is exact")]
pub(crate) fn with_jitter(ttl: u64, ratio: f64, chance: f64) -> u64 {
    (ttl as f64 * (1.0 - ratio * chance)).round().max(1.0) as u64
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::Product;

    #[test]
    fn jitter_only_shortens_and_leaves_a_second() {
        assert_eq!(with_jitter(300, 0.2, 0.0), 300);
        assert_eq!(with_jitter(300, 0.2, 1.0), 240);
        assert_eq!(with_jitter(300, 0.0, 0.7), 300);
        assert_eq!(with_jitter(1, 1.0, 0.99), 1);
    }

    #[test]
    fn an_entry_reads_back_the_same_and_its_text_begins_with_its_head() {
        let text = write(&Product::example(), end_of(60));
        let entry: Entry<Product> = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((&entry.value, entry.version, entry.is_fresh()), (&Product::example(), 3, true));
        assert!(text.starts_with(&entry.head()), "{text}");
        assert!(!Entry { fresh_until: now(), ..entry }.is_fresh());
    }

    #[test]
    fn a_common_end_is_near_and_common() {
        let (before, end) = (now(), common_end(2));
        assert!(end % 2_000 == 0 && end > before && end <= now() + 2_000);
        let entry: Entry<Product> = read(write(&Product::example(), end).as_bytes()).unwrap().unwrap();
        assert!(!entry.outlives(end) && entry.outlives(end - 1));
    }

    #[test]
    fn nothing_has_two_forms_and_the_rest_cannot_be_read() {
        for text in [GONE, UNKNOWN] {
            assert_eq!(read::<Product>(text.as_bytes()).unwrap(), None);
        }
        let other_release = serde_json::to_string(&Product::example()).unwrap();
        for text in ["", "{", "7", r#"{"version":1}"#, &other_release] {
            assert!(read::<Product>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
