//! What became of lookups and loads, since the start, in the whole process. `metrics` shows it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::{cache::Known, error::CatalogError};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of one kind of things.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Found in Redis.
    pub(crate) hit: Count,
    /// Found in Redis to be unknown.
    pub(crate) hit_unknown: Count,
    /// Not in Redis, or no longer fresh.
    pub(crate) miss: Count,
    /// Redis did not answer, or was not asked.
    pub(crate) failed: Count,
    /// Answered with what is no longer fresh.
    pub(crate) stale: Count,
    /// Loads by what came of them.
    pub(crate) loaded: Count,
    pub(crate) load_failed: Count,
    pub(crate) load_refused: Count,
    /// Seconds of the loads that were not refused.
    pub(crate) load_seconds: Histogram,
    /// Found in the near cache.
    pub(crate) near_hit: Count,
    pub(crate) near_miss: Count,
    /// Not looked up in the near cache, as nobody heard what changes.
    pub(crate) near_bypassed: Count,
    pub(crate) near_evictions: Count,
    /// Changes that were heard of.
    pub(crate) invalidations: Count,
}

impl Default for Tally {
    fn default() -> Self {
        let count = Count::default;
        Self {
            hit: count(),
            hit_unknown: count(),
            miss: count(),
            failed: count(),
            stale: count(),
            loaded: count(),
            load_failed: count(),
            load_refused: count(),
            // half a millisecond to two seconds
            load_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 13)),
            near_hit: count(),
            near_miss: count(),
            near_bypassed: count(),
            near_evictions: count(),
            invalidations: count(),
        }
    }
}

impl Tally {
    /// Counts a lookup of `asked` ids in Redis, each of them once.
    pub(crate) fn looked_up<T>(&self, asked: usize, known: &Known<T>, answered: bool) {
        let unknown = known.values().filter(|state| state.is_none()).count();
        self.hit.add(known.len() - unknown);
        self.hit_unknown.add(unknown);
        let absent = if answered { &self.miss } else { &self.failed };
        absent.add(asked - known.len());
    }

    /// Counts a load.
    pub(crate) fn loaded<T>(&self, took: Duration, outcome: &Result<T, CatalogError>) {
        let count = match outcome {
            Err(CatalogError::Overloaded) => return self.load_refused.add(1),
            Err(_) => &self.load_failed,
            Ok(_) => &self.loaded,
        };
        count.add(1);
        self.load_seconds.observe(took.as_secs_f64());
    }
}

/// Whether something is away: each change is told to one, who logs it, and not each failure to all.
#[derive(Debug, Default)]
pub(crate) struct Outage(AtomicBool);

impl Outage {
    /// True for the first who notices.
    pub(crate) fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// True for the first who notices.
    pub(crate) fn ends(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_id_is_counted_once_by_what_came_of_it() {
        let (tally, ids) = (Tally::default(), [1, 2, 3].map(Uuid::from_u128));
        tally.looked_up(5, &Known::from([(ids[0], Some(0)), (ids[1], Some(0)), (ids[2], None)]), true);
        tally.looked_up(4, &Known::<u8>::new(), false);
        assert_eq!([&tally.hit, &tally.hit_unknown, &tally.miss, &tally.failed].map(Count::get), [2, 1, 2, 4]);
    }

    #[test]
    fn loads_are_counted_by_their_end() {
        let tally = Tally::default();
        for outcome in [Ok(()), Ok(()), Err(CatalogError::Unavailable(String::new())), Err(CatalogError::Overloaded)] {
            tally.loaded(Duration::from_millis(1), &outcome);
        }
        assert_eq!([&tally.loaded, &tally.load_failed, &tally.load_refused].map(Count::get), [2, 1, 1]);
    }

    #[test]
    fn an_outage_begins_and_ends_once() {
        let outage = Outage::default();
        assert_eq!([outage.ends(), outage.begins(), outage.begins(), outage.ends(), outage.ends()], [false, true, false, true, false]);
    }
}
