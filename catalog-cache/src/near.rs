//! What the process keeps itself, in front of Redis, for moments.
//!
//! It is on only while somebody hears what changes ([`crate::change`]): what was kept before is of no use after a message may
//! have been lost, and a [session](Near::begin) begins empty. Whoever reads takes a [`Moment`] first; what was read is kept
//! only if nothing was said of its id since that moment ([`Near::keep`]), so that a slow reader does not bring back what was
//! before a change. And nothing is replaced by a lower version.

mod shelf;

use std::sync::Arc;

use uuid::Uuid;

use crate::{cache::Known, catalog::Kept, config::CacheConfig, metrics::tally::Tally};
pub(crate) use shelf::Moment;
use shelf::Shelf;

/// One for all runtimes of the process; none where it is switched off.
pub(crate) struct Near<T>(Option<Arc<Shelf<T>>>);

impl<T> Clone for Near<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Kept> Near<T> {
    pub(crate) fn new(config: &CacheConfig, tally: &Arc<Tally>) -> Self {
        Self((config.near_entries > 0).then(|| Arc::new(Shelf::new(config, tally))))
    }

    /// To be taken before anybody is asked; none where nothing is kept.
    pub(crate) fn now(&self) -> Option<Moment> {
        self.0.as_ref()?.now()
    }

    /// What is kept of `ids`. What there is not is not remembered.
    pub(crate) fn get(&self, ids: &[Uuid]) -> Known<T> {
        let Some(inner) = &self.0 else { return Known::new() };
        let Some(now) = inner.now() else {
            inner.tally.near_bypassed.add(ids.len());
            return Known::new();
        };
        let found: Known<T> = ids.iter().filter_map(|id| Some((*id, Some(inner.get(id, now)?)))).collect();
        inner.tally.near_hit.add(found.len());
        inner.tally.near_miss.add(ids.len() - found.len());
        found
    }

    /// Keeps what was read since a moment.
    pub(crate) fn keep<'a>(&self, moment: Option<Moment>, read: impl IntoIterator<Item = (&'a Uuid, &'a Option<T>)>) {
        let (Some(inner), Some(moment)) = (&self.0, moment) else { return };
        for (id, state) in read {
            if let Some(value) = state {
                inner.put(id, value, moment);
            }
        }
    }

    /// The id has this version by now, or a higher one.
    pub(crate) fn changed(&self, id: &Uuid, version: i64) {
        if let Some(inner) = &self.0 {
            inner.changed(id, version);
        }
    }

    /// Forgets an id when it is dropped, whatever is kept and whatever somebody is reading.
    pub(crate) fn forgetting(&self, id: Uuid) -> Forgetting<T> {
        Forgetting { near: self.clone(), id }
    }

    /// From now on all changes are heard.
    pub(crate) fn begin(&self) {
        self.turn(|session| session | 1);
    }

    /// From now on changes may be missed.
    pub(crate) fn end(&self) {
        self.turn(|session| session + session % 2);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.turn(|session| session + 2);
    }

    fn turn(&self, next: impl Fn(u64) -> u64) {
        if let Some(inner) = &self.0 {
            inner.turn(next);
        }
    }
}

/// See [`Near::forgetting`].
pub(crate) struct Forgetting<T: Kept> {
    near: Near<T>,
    id: Uuid,
}

impl<T: Kept> Drop for Forgetting<T> {
    fn drop(&mut self) {
        self.near.changed(&self.id, i64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::product::Product;

    fn near(entries: u64) -> (Near<Product>, Arc<Tally>) {
        let (config, tally) = (CacheConfig { near_entries: entries, near_ttl_ms: 60_000, ..CacheConfig::default() }, Arc::default());
        let near = Near::new(&config, &tally);
        near.begin();
        (near, tally)
    }

    fn product(version: i64) -> Product {
        Product { version, ..Product::example() }
    }

    fn keep(near: &Near<Product>, moment: Option<Moment>, version: i64) {
        near.keep(moment, [(&Uuid::nil(), &Some(product(version)))]);
    }

    fn version(near: &Near<Product>) -> Option<i64> {
        near.get(&[Uuid::nil()]).remove(&Uuid::nil()).flatten().map(|product| product.version)
    }

    #[test]
    fn what_was_read_is_kept_and_what_there_is_not_is_not() {
        let (near, tally) = near(10);
        assert_eq!(version(&near), None);
        keep(&near, near.now(), 1);
        near.keep(near.now(), [(&Uuid::max(), &None)]);
        assert_eq!((version(&near), near.get(&[Uuid::max()]).len()), (Some(1), 0));
        assert_eq!((tally.near_hit.get(), tally.near_miss.get(), tally.near_bypassed.get()), (1, 2, 0));
    }

    #[test]
    fn what_somebody_was_reading_during_a_change_is_not_kept() {
        let (near, _) = near(10);
        let before = near.now();
        near.changed(&Uuid::nil(), 2);
        keep(&near, before, 1);
        assert_eq!(version(&near), None);
        keep(&near, near.now(), 2);
        assert_eq!(version(&near), Some(2));
        let before = near.now();
        drop(near.forgetting(Uuid::nil()));
        keep(&near, before, 2);
        assert_eq!(version(&near), None);
    }

    #[test]
    fn a_lower_version_replaces_nothing() {
        let (near, _) = near(10);
        let (slow, quick) = (near.now(), near.now());
        keep(&near, quick, 2);
        keep(&near, slow, 1);
        assert_eq!(version(&near), Some(2));
        // what is known already is not forgotten
        near.changed(&Uuid::nil(), 2);
        assert_eq!(version(&near), Some(2));
        near.changed(&Uuid::nil(), 3);
        assert_eq!(version(&near), None);
    }

    #[test]
    fn while_nobody_hears_nothing_is_kept_and_nothing_found() {
        let (near, tally) = near(10);
        let before = near.now();
        keep(&near, before, 1);
        near.end();
        assert_eq!((version(&near), near.now().is_none()), (None, true));
        near.end();
        near.begin();
        // what was read in another session says nothing about this one
        keep(&near, before, 1);
        assert_eq!((version(&near), tally.near_bypassed.get()), (None, 1));
        keep(&near, near.now(), 1);
        near.clear();
        assert_eq!((version(&near), near.now().is_some()), (None, true));
    }

    #[test]
    fn a_copy_is_as_old_as_the_moment_before_it_was_read() {
        let (near, _) = near(10);
        let long_ago = near.now().map(|now| Moment { at: now.at.checked_sub(Duration::from_mins(1)).unwrap(), ..now });
        keep(&near, long_ago, 1);
        assert_eq!(version(&near), None);
    }

    #[test]
    fn switched_off_it_does_nothing() {
        let (near, tally) = near(0);
        keep(&near, near.now(), 1);
        near.changed(&Uuid::nil(), 1);
        near.clear();
        assert_eq!((version(&near), tally.near_bypassed.get()), (None, 0));
    }

    #[test]
    fn it_is_bounded_and_counts_what_had_to_go() {
        let (near, tally) = near(10);
        for number in 0..1_000 {
            near.keep(near.now(), [(&Uuid::from_u128(number), &Some(product(1)))]);
        }
        let shelf = near.0.as_ref().unwrap();
        shelf.copies.run_pending_tasks();
        assert!(shelf.copies.entry_count() <= 10);
        assert!(tally.near_evictions.get() >= 990);
    }
}
