//! All Redis of what is read through the cache. Nothing here fails: a cache that cannot be reached holds nothing.
//!
//! `<prefix><id>` is JSON: a value with its version, `null` where a reader found nothing, or [`GONE`].
//!
//! Nobody who asks after a write was answered sees what was before it:
//! - After its commit a writer tells the cache what there is ([`Cache::publish`]). Of two that tell, the higher version stays,
//!   in whichever order they come, so that a command that was given up and comes late does no harm either. `null` has the
//!   version 0; ids are not used again, so [`GONE`] has the highest. A script compares and sets: no command can do both.
//! - A reader only fills a gap ([`Cache::fill`], `SET NX`). What it loaded before a write loses: it comes first and is
//!   written over, or comes later and finds the writer's entry, which lives longer than any load that began before it
//!   (`guard`).
//! - A writer that cannot tell, or does not know whether it has written, leaves a debt ([`crate::debt`]), and about its id
//!   this process asks Postgres until a reader has told the cache. For other processes the entry's lifetime is the limit.

use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8_redis::redis::{RedisError, cmd, pipe};
use chassis::redis::{Connection, Redis, RedisUnavailable};
use rand::RngExt;
use uuid::Uuid;

use crate::{catalog::Kept, config::CacheConfig};

/// What is known about ids: something, or that there is nothing. Ids of which nothing is known are absent.
pub(crate) type Known<T> = HashMap<Uuid, Option<T>>;

/// A deleted id's entry.
const GONE: &str = r#"{"gone":true,"version":9223372036854775807}"#;

/// For each key a text, its version and its seconds. Sent whole each time: a Redis that has forgotten it costs no second question.
const PUBLISH: &str = "
for i, key in ipairs(KEYS) do
    local text, version, seconds = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), ARGV[3 * i]
    local readable, kept = pcall(cjson.decode, redis.call('GET', key) or 'null')
    local newer = readable and type(kept) == 'table' and (tonumber(kept.version) or 0) > version
    if not newer then redis.call('SET', key, text, 'EX', seconds) end
end";

/// Whether Redis answered the last time: each change is logged, and not each failure.
#[derive(Debug)]
struct Reachable(AtomicBool);

impl Default for Reachable {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Reachable {
    fn note<T>(&self, result: Result<T, RedisUnavailable>) -> Option<T> {
        let was = self.0.swap(result.is_ok(), Ordering::Relaxed);
        match result {
            Ok(value) => {
                if !was {
                    tracing::info!("the cache answers again");
                }
                Some(value)
            }
            Err(error) => {
                if was {
                    tracing::warn!(%error, "the cache does not answer: reading from postgres alone");
                }
                None
            }
        }
    }
}

/// What became of the lookups, since the start, in the whole process.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// Found.
    pub(crate) hit: AtomicU64,
    /// Found to be unknown.
    pub(crate) hit_unknown: AtomicU64,
    /// Not kept.
    pub(crate) miss: AtomicU64,
    /// Redis did not answer.
    pub(crate) failed: AtomicU64,
    reachable: Reachable,
}

impl Lookups {
    fn note<T>(&self, asked: usize, known: &Known<T>, answered: bool) {
        let unknown = known.values().filter(|state| state.is_none()).count();
        let absent = asked - known.len();
        let (miss, failed) = if answered { (absent, 0) } else { (0, absent) };
        for (count, of) in [(&self.hit, known.len() - unknown), (&self.hit_unknown, unknown), (&self.miss, miss), (&self.failed, failed)] {
            count.fetch_add(of as u64, Ordering::Relaxed);
        }
    }
}

/// What the cache said.
pub(crate) struct Found<T> {
    pub(crate) known: Known<T>,
    /// Entries of another form, as another release may write.
    pub(crate) unreadable: Vec<Uuid>,
}

/// Things of one kind that are kept in Redis.
#[derive(Clone)]
pub(crate) struct Cache<T> {
    redis: Redis,
    config: CacheConfig,
    /// Seconds that a writer's entry is kept at least.
    guard: u64,
    lookups: Arc<Lookups>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Kept> Cache<T> {
    /// A reader keeps what it has loaded for no longer than `guard` before it fills the cache with it.
    pub(crate) fn new(redis: Redis, config: &CacheConfig, guard: Duration, lookups: Arc<Lookups>) -> Self {
        // Redis expires by whole seconds here
        Self { redis, config: config.clone(), guard: guard.as_secs() + 1, lookups, kind: PhantomData }
    }

    /// What the cache knows about `ids`, each named once, in one round trip.
    pub(crate) async fn get(&self, ids: &[Uuid]) -> Found<T> {
        let mut keys = cmd("MGET");
        for id in ids {
            keys.arg(self.key(id));
        }
        let texts: Option<Vec<Option<Vec<u8>>>> = self.ask(async |redis| keys.query_async(redis).await).await;
        let answered = texts.is_some();
        let mut found = Found { known: Known::new(), unreadable: Vec::new() };
        for (id, text) in ids.iter().zip(texts.unwrap_or_default()) {
            match text.map(|text| read(&text)) {
                Some(Ok(state)) => drop(found.known.insert(*id, state)),
                Some(Err(_)) => found.unreadable.push(*id),
                None => {}
            }
        }
        self.lookups.note(ids.len(), &found.known, answered);
        found
    }

    /// Keeps what a reader has loaded where nothing is kept, in one round trip.
    pub(crate) async fn fill(&self, loaded: &[(Uuid, Option<&T>)]) {
        if loaded.is_empty() {
            return;
        }
        let mut pipeline = pipe();
        for (id, state) in loaded {
            let text = serde_json::to_string(state).unwrap_or_default();
            pipeline.cmd("SET").arg(self.key(id)).arg(text).arg("NX").arg("EX").arg(self.lifetime(state.is_some())).ignore();
        }
        let _: Option<()> = self.ask(async |redis| pipeline.query_async(redis).await).await;
    }

    /// Keeps what there is, whatever is kept, unless that is newer, in one round trip. False where Redis did not do it.
    pub(crate) async fn publish(&self, states: &[(Uuid, Option<&T>)]) -> bool {
        if states.is_empty() {
            return true;
        }
        let mut script = cmd("EVAL");
        script.arg(PUBLISH).arg(states.len()).arg(self.keys(states));
        for (_, state) in states {
            let text = state.map_or_else(|| GONE.to_owned(), |state| serde_json::to_string(state).unwrap_or_default());
            let version = state.map_or(i64::MAX, T::version);
            script.arg(text).arg(version).arg(self.lifetime(state.is_some()).max(self.guard));
        }
        let told: Option<()> = self.ask(async |redis| script.query_async(redis).await).await;
        if told.is_none() {
            // where it is there and only cannot write, as without memory, other processes see the write at least
            let _: Option<()> = self.ask(async |redis| cmd("DEL").arg(self.keys(states)).query_async(redis).await).await;
        }
        told.is_some()
    }

    async fn ask<A>(&self, question: impl AsyncFnOnce(&mut Connection) -> Result<A, RedisError>) -> Option<A> {
        let answer = async {
            let mut connection = self.redis.connection().await?;
            Ok(question(&mut connection).await?)
        };
        self.lookups.reachable.note(answer.await)
    }

    fn keys(&self, states: &[(Uuid, Option<&T>)]) -> Vec<String> {
        states.iter().map(|(id, _)| self.key(id)).collect()
    }

    fn key(&self, id: &Uuid) -> String {
        format!("{}{id}", T::prefix(&self.config))
    }

    fn lifetime(&self, known: bool) -> u64 {
        let seconds = if known { self.config.ttl_seconds } else { self.config.unknown_ttl_seconds };
        with_jitter(seconds, self.config.jitter_ratio, rand::rng().random())
    }
}

/// What an entry says.
fn read<T: Kept>(text: &[u8]) -> serde_json::Result<Option<T>> {
    if text == GONE.as_bytes() { Ok(None) } else { serde_json::from_slice(text) }
}

/// `ttl` seconds without up to `ratio` of them, at least 1; `chance` is from 0 to 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a year of seconds is exact")]
fn with_jitter(ttl: u64, ratio: f64, chance: f64) -> u64 {
    (ttl as f64 * (1.0 - ratio * chance)).round().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::with_jitter;

    #[test]
    fn jitter_only_shortens_and_leaves_a_second() {
        assert_eq!(with_jitter(300, 0.2, 0.0), 300);
        assert_eq!(with_jitter(300, 0.2, 1.0), 240);
        assert_eq!(with_jitter(300, 0.0, 0.7), 300);
        assert_eq!(with_jitter(1, 1.0, 0.99), 1);
    }
}
