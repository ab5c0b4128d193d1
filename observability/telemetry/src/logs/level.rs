//! Which events become lines, and changing that while the process runs.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

/// What a level may be.
pub const ALLOWED: &str = "off, error, warn, info, debug or trace, or a list such as info,orders=debug";

const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Librdkafka and the exporter repeat every broker's absence each second. Whoever wants to hear it names them.
const QUIET: &str = "librdkafka=error,opentelemetry_sdk=warn,opentelemetry-otlp=warn,h2=warn,hyper=warn,tower=warn";

/// A level that is none. [`ALLOWED`] says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// One entry of the list.
    #[error("{0:?} is no level")]
    Malformed(String),
    /// The process writes no log by [`start`](super::start).
    #[error("this process has no log whose level can be changed")]
    NotStarted,
}

/// The filter for a level, or for a comma-separated list of levels and `target=level`.
pub(super) fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    let entries: Vec<&str> = level.split(',').map(str::trim).collect();
    match entries.iter().find(|entry| !is_entry(entry)) {
        Some(wrong) => Err(LevelError::Malformed((*wrong).to_owned())),
        // of two entries for one target the later one counts
        None => EnvFilter::try_new(format!("{QUIET},{}", entries.join(","))).map_err(|error| LevelError::Malformed(error.to_string())),
    }
}

/// Stricter than the filter's parser, which takes a misspelt level for a target of which everything is wanted.
fn is_entry(entry: &str) -> bool {
    let is_level = |word: &str| WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
    let is_target = |target: &str| !target.is_empty() && target.chars().all(|sign| sign.is_ascii_alphanumeric() || "_-:".contains(sign));
    match entry.split_once('=') {
        None => is_level(entry),
        Some((target, level)) => is_target(target) && is_level(level),
    }
}

type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

struct Live {
    level: Mutex<String>,
    reload: Reload,
}

static LIVE: OnceLock<Live> = OnceLock::new();

/// From now on `reload` is how the process changes its level. Only the first call counts, as with subscribers.
pub(super) fn is_live(level: &str, reload: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) {
    let _ = LIVE.set(Live { level: Mutex::new(level.to_owned()), reload: Box::new(reload) });
}

/// What the process logs now; none where it writes no log.
pub fn level() -> Option<String> {
    Some(LIVE.get()?.level.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Changes what the process logs, from now until it ends. Returns what it logged before.
///
/// # Errors
/// [`LevelError`]; nothing is changed then.
pub fn set_level(level: &str) -> Result<String, LevelError> {
    let filter = filter(level)?;
    let live = LIVE.get().ok_or(LevelError::NotStarted)?;
    let mut now = live.level.lock().unwrap_or_else(PoisonError::into_inner);
    if !(live.reload)(filter) {
        return Err(LevelError::NotStarted);
    }
    Ok(std::mem::replace(&mut *now, level.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_list_is_taken_and_a_misspelt_one_is_not() {
        for good in ["info", "OFF", "info,orders=debug", " warn , tonic::transport=trace ", "librdkafka=debug,error"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for (bad, wrong) in
            [("", ""), ("debgu", "debgu"), ("info,", ""), ("info,orders=lots", "orders=lots"), ("=info", "=info"), ("3", "3")]
        {
            assert_eq!(filter(bad).unwrap_err(), LevelError::Malformed(wrong.into()), "{bad}");
        }
    }

    #[test]
    fn whoever_names_a_quiet_target_hears_it() {
        assert!(filter("info").unwrap().to_string().contains("librdkafka=error"));
        let loud = filter("info,librdkafka=debug").unwrap().to_string();
        assert!(loud.contains("librdkafka=debug") && !loud.contains("librdkafka=error"), "{loud}");
    }
}
