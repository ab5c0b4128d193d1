//! All Redis of the catalogue. Nothing here fails: a cache that cannot be reached holds nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bb8_redis::redis::{Pipeline, RedisError, cmd, pipe};
use chassis::redis::{Connection, Redis, RedisUnavailable};
use rand::RngExt;
use uuid::Uuid;

use crate::{config::CacheConfig, product::Product};

/// What is known about ids: a product, or that there is none. Ids of which nothing is known are absent.
pub(crate) type Known = HashMap<Uuid, Option<Product>>;

/// Whether Redis answered the last time: each change is logged, and not each failure.
#[derive(Debug)]
pub(crate) struct Reachable(AtomicBool);

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

/// What became of the products that were looked up, since the start.
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
}

impl Lookups {
    fn note(&self, asked: usize, known: &Known, answered: bool) {
        let unknown = known.values().filter(|product| product.is_none()).count();
        let absent = asked - known.len();
        let (miss, failed) = if answered { (absent, 0) } else { (0, absent) };
        for (count, of) in [(&self.hit, known.len() - unknown), (&self.hit_unknown, unknown), (&self.miss, miss), (&self.failed, failed)] {
            count.fetch_add(of as u64, Ordering::Relaxed);
        }
    }
}

/// The products that are kept in Redis, each as JSON, and `null` for an id that is known to be unknown.
#[derive(Clone)]
pub(crate) struct Cache {
    redis: Redis,
    config: CacheConfig,
    reachable: Arc<Reachable>,
    lookups: Arc<Lookups>,
}

impl Cache {
    pub(crate) fn new(redis: Redis, config: &CacheConfig, reachable: Arc<Reachable>, lookups: Arc<Lookups>) -> Self {
        Self { redis, config: config.clone(), reachable, lookups }
    }

    /// What the cache knows about `ids`, each named once, in one round trip.
    pub(crate) async fn get(&self, ids: &[Uuid]) -> Known {
        let mut keys = cmd("MGET");
        for id in ids {
            keys.arg(self.key(id));
        }
        let found: Option<Vec<Option<String>>> = self.reachable.note(self.ask(async |redis| keys.query_async(redis).await).await);
        // an entry of another form, as another release may write, is no entry
        let read = |(id, text): (&Uuid, Option<String>)| text.and_then(|text| Some((*id, serde_json::from_str(&text).ok()?)));
        let answered = found.is_some();
        let known = ids.iter().zip(found.unwrap_or_default()).filter_map(read).collect();
        self.lookups.note(ids.len(), &known, answered);
        known
    }

    /// Keeps what was loaded, in one round trip.
    pub(crate) async fn put(&self, loaded: &Known) {
        let mut pipeline = pipe();
        for (id, product) in loaded {
            self.add_set(&mut pipeline, id, product.as_ref());
        }
        let _: Option<()> = self.reachable.note(self.ask(async |redis| pipeline.query_async(redis).await).await);
    }

    fn add_set(&self, pipeline: &mut Pipeline, id: &Uuid, product: Option<&Product>) {
        // strings and numbers always have a JSON form
        let Ok(text) = serde_json::to_string(&product) else { return };
        let ttl = if product.is_some() { self.config.ttl_seconds } else { self.config.unknown_ttl_seconds };
        let ttl = with_jitter(ttl, self.config.jitter_ratio, rand::rng().random());
        pipeline.cmd("SET").arg(self.key(id)).arg(text).arg("EX").arg(ttl).ignore();
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(&mut Connection) -> Result<T, RedisError>) -> Result<T, RedisUnavailable> {
        let mut connection = self.redis.connection().await?;
        Ok(question(&mut connection).await?)
    }

    fn key(&self, id: &Uuid) -> String {
        format!("{}{id}", self.config.key_prefix)
    }
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
