//! All Redis of what is read through the cache. Nothing here fails: a cache that cannot be reached holds nothing.
//!
//! `<prefix><id>` is JSON ([`crate::entry`]): a value with its version and the time until which it is fresh, `null` where a
//! reader found nothing, or [`GONE`]. A value is kept for `cache.stale_seconds` longer than it is fresh: from then on a
//! reader asks Postgres, and falls back on it where Postgres does not answer.
//!
//! Nobody who asks after a write was answered sees what was before it:
//! - After its commit a writer tells the cache what there is ([`Cache::publish`]), and then, in the same round trip, all processes
//!   ([`crate::change`]). Of two that tell, the higher version stays, in whichever order they come, so that a command that was
//!   given up and comes late does no harm either. `null` has the version 0; ids are not used again, so [`GONE`] has the
//!   highest. A script compares and sets: no command can do both.
//! - A reader only fills a gap ([`Cache::fill`]): nothing (`SET NX`), or the very entry that it found no longer fresh, which
//!   it knows again by its [head](Entry::head) ([`REPLACE`]). What it loaded before a write loses: it comes first and is
//!   written over, or comes later and finds the writer's entry, which lives longer than any load that began before it
//!   (`guard`). A version would not do to compare here: a reader that finds nothing any more has none.
//! - A writer that cannot tell, or does not know whether it has written, leaves a debt ([`crate::debt`]), and about its id
//!   this process asks Postgres until a reader has told the cache. For other processes the entry's lifetime is the limit.
//! - What is no longer fresh is served only by a reader who found it himself and knows of no debt: whatever the cache was told
//!   since has replaced it.

use std::{
    collections::{HashMap, HashSet},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use bb8_redis::redis::{Cmd, Pipeline, RedisError, cmd, pipe};
use chassis::{
    redis::{BreakerState, Connection, Redis, RedisUnavailable},
    scenario::{Scenario, Scenarios},
};
use rand::RngExt;
use uuid::Uuid;

use crate::{
    catalog::Kept,
    change::{Change, channel},
    config::CacheConfig,
    entry::{self, Entry, GONE, UNKNOWN, with_jitter},
    metrics::tally::Outage,
};

/// What is known about ids: something, or that there is nothing. Ids of which nothing is known are absent.
pub(crate) type Known<T> = HashMap<Uuid, Option<T>>;

/// For each key a text, its version and its seconds. Sent whole each time: a Redis that has forgotten it costs no second question.
const PUBLISH: &str = "
for i, key in ipairs(KEYS) do
    local text, version, seconds = unpack(ARGV, 3 * i - 2, 3 * i)
    local readable, kept = pcall(cjson.decode, redis.call('GET', key) or 'null')
    local newer = readable and type(kept) == 'table' and (tonumber(kept.version) or 0) > tonumber(version)
    if not newer then redis.call('SET', key, text, 'EX', seconds) end
end";

/// For each key the head of the entry that is replaced, a text and its seconds.
const REPLACE: &str = "
for i, key in ipairs(KEYS) do
    local head, text, seconds = unpack(ARGV, 3 * i - 2, 3 * i)
    if redis.call('GETRANGE', key, 0, #head - 1) == head then redis.call('SET', key, text, 'EX', seconds) end
end";

/// What the cache said.
pub(crate) struct Found<T> {
    pub(crate) known: Known<T>,
    /// What is no longer fresh.
    pub(crate) expired: HashMap<Uuid, Entry<T>>,
    /// Entries of another form, as another release may write.
    pub(crate) unreadable: HashSet<Uuid>,
    /// False where Redis did not answer.
    pub(crate) answered: bool,
}

impl<T> Found<T> {
    /// Where nothing was asked.
    pub(crate) fn nothing() -> Self {
        Self { known: Known::new(), expired: HashMap::new(), unreadable: HashSet::new(), answered: true }
    }
}

/// Where a reader may put what it has loaded: the head of the entry that was there, if there was one.
pub(crate) struct Gap<'a, T> {
    pub(crate) id: Uuid,
    pub(crate) state: Option<&'a T>,
    pub(crate) head: Option<&'a str>,
}

/// Things of one kind that are kept in Redis.
#[derive(Clone)]
pub(crate) struct Cache<T> {
    redis: Redis,
    config: CacheConfig,
    /// Seconds that a writer's entry is kept at least.
    guard: u64,
    outage: Arc<Outage>,
    scenarios: Scenarios,
    kind: PhantomData<fn() -> T>,
}

impl<T: Kept> Cache<T> {
    /// A reader keeps what it has loaded for no longer than `guard` before it fills the cache with it.
    pub(crate) fn new(redis: Redis, config: &CacheConfig, guard: Duration, outage: Arc<Outage>, scenarios: Scenarios) -> Self {
        // Redis expires by whole seconds here
        Self { redis, config: config.clone(), guard: guard.as_secs() + 1, outage, scenarios, kind: PhantomData }
    }

    /// What the cache knows about `ids`, each named once, in one round trip.
    pub(crate) async fn get(&self, ids: &[Uuid]) -> Found<T> {
        let mut keys = cmd("MGET");
        for id in ids {
            keys.arg(self.key(id));
        }
        let texts: Option<Vec<Option<Vec<u8>>>> = self.ask(async |redis| keys.query_async(redis).await).await;
        let end = self.common_end();
        let mut found = Found { answered: texts.is_some(), ..Found::nothing() };
        for (id, text) in ids.iter().zip(texts.unwrap_or_default()) {
            match text.map(|text| entry::read(&text)) {
                Some(Ok(None)) => drop(found.known.insert(*id, None)),
                Some(Ok(Some(entry))) if entry.is_fresh() && end.is_none_or(|end| !entry.outlives(end)) => {
                    drop(found.known.insert(*id, Some(entry.value)));
                }
                Some(Ok(Some(entry))) => drop(found.expired.insert(*id, entry)),
                Some(Err(_)) => drop(found.unreadable.insert(*id)),
                None => {}
            }
        }
        found
    }

    /// Keeps what a reader has loaded where there is still the gap that it found, in one round trip.
    pub(crate) async fn fill(&self, gaps: &[Gap<'_, T>]) {
        if gaps.is_empty() {
            return;
        }
        let mut pipeline = pipe();
        for gap in gaps.iter().filter(|gap| gap.head.is_none()) {
            let (text, seconds) = self.loaded(gap.state);
            pipeline.cmd("SET").arg(self.key(&gap.id)).arg(text).arg("NX").arg("EX").arg(seconds).ignore();
        }
        let expired: Vec<(&Gap<'_, T>, &str)> = gaps.iter().filter_map(|gap| Some((gap, gap.head?))).collect();
        if !expired.is_empty() {
            pipeline.add_command(self.replace(&expired)).ignore();
        }
        let _: Option<()> = self.ask(async |redis| pipeline.query_async(redis).await).await;
    }

    /// Keeps what there is, whatever is kept, unless that is newer, and tells all processes, in one round trip. False where
    /// Redis did not do it.
    pub(crate) async fn publish(&self, states: &[(Uuid, Option<&T>)]) -> bool {
        if states.is_empty() {
            return true;
        }
        let keys: Vec<String> = states.iter().map(|(id, _)| self.key(id)).collect();
        let changes: Vec<Change> =
            states.iter().map(|(id, state)| Change { id: *id, version: state.map_or(i64::MAX, T::version) }).collect();
        let mut script = cmd("EVAL");
        script.arg(PUBLISH).arg(keys.len()).arg(&keys);
        for ((_, state), change) in states.iter().zip(&changes) {
            let (text, seconds) = self.written(*state);
            script.arg(text).arg(change.version).arg(seconds);
        }
        let mut telling = pipe();
        telling.add_command(script).ignore();
        self.announce(&changes, &mut telling);
        let told: Option<()> = self.ask(async |redis| telling.query_async(redis).await).await;
        if told.is_none() {
            // where it is there and only cannot write, as without memory, other processes see the write at least
            let mut pipeline = pipe();
            pipeline.cmd("DEL").arg(&keys).ignore();
            self.announce(&changes, &mut pipeline);
            let _: Option<()> = self.ask(async |redis| pipeline.query_async(redis).await).await;
        }
        told.is_some()
    }

    /// Commands of their own, and not the script's: traces tell of them.
    fn announce(&self, changes: &[Change], pipeline: &mut Pipeline) {
        let channel = channel::<T>(&self.config);
        for change in changes {
            pipeline.cmd("PUBLISH").arg(&channel).arg(change.text()).ignore();
        }
    }

    /// Whether Redis has failed somebody and not answered anybody since.
    pub(crate) fn is_away(&self) -> bool {
        self.redis.state() != BreakerState::Closed
    }

    /// Whether what is no longer fresh may be served.
    pub(crate) fn keeps_stale(&self) -> bool {
        self.config.stale_seconds > 0
    }

    async fn ask<A>(&self, question: impl AsyncFnOnce(&mut Connection) -> Result<A, RedisError>) -> Option<A> {
        let answer = async {
            let mut connection = self.redis.connection().await?;
            Ok(question(&mut connection).await?)
        };
        self.note(answer.await)
    }

    fn note<A>(&self, answer: Result<A, RedisUnavailable>) -> Option<A> {
        match &answer {
            Ok(_) if self.outage.ends() => tracing::info!("the cache answers again"),
            Err(error) if error.was_tried() && self.outage.begins() => {
                tracing::warn!(%error, "the cache does not answer: reading from postgres alone");
            }
            _ => {}
        }
        answer.ok()
    }

    fn key(&self, id: &Uuid) -> String {
        format!("{}{id}", T::prefix(&self.config))
    }

    fn replace(&self, gaps: &[(&Gap<'_, T>, &str)]) -> Cmd {
        let mut script = cmd("EVAL");
        script.arg(REPLACE).arg(gaps.len()).arg(gaps.iter().map(|(gap, _)| self.key(&gap.id)).collect::<Vec<_>>());
        for (gap, head) in gaps {
            let (text, seconds) = self.loaded(gap.state);
            script.arg(head).arg(text).arg(seconds);
        }
        script
    }

    /// What a reader keeps, and for how many seconds.
    fn loaded(&self, state: Option<&T>) -> (String, u64) {
        match state {
            Some(value) => self.value(value, self.lifetime(true)),
            None => (UNKNOWN.to_owned(), self.lifetime(false)),
        }
    }

    /// What a writer keeps, and for how many seconds.
    fn written(&self, state: Option<&T>) -> (String, u64) {
        let seconds = self.lifetime(state.is_some()).max(self.guard);
        state.map_or_else(|| (GONE.to_owned(), seconds), |value| self.value(value, seconds))
    }

    fn value(&self, value: &T, fresh: u64) -> (String, u64) {
        let end = self.common_end().unwrap_or_else(|| entry::end_of(fresh));
        (entry::write(value, end), fresh + self.config.stale_seconds)
    }

    /// [`Scenario::CacheStampede`]: when all that is kept ends.
    fn common_end(&self) -> Option<u64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its file bounds it")]
        self.scenarios.number(Scenario::CacheStampede, "ttl_seconds").map(|seconds| entry::common_end(seconds as u64))
    }

    fn lifetime(&self, known: bool) -> u64 {
        let seconds = if known { self.config.ttl_seconds } else { self.config.unknown_ttl_seconds };
        with_jitter(seconds, self.config.jitter_ratio, rand::rng().random())
    }
}
