//! Where copies lie.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{notification::RemovalCause, sync::Cache};
use uuid::Uuid;

use crate::{catalog::Kept, config::CacheConfig, metrics::tally::Tally};

/// Bytes of one entry; a larger one counts as several.
const ENTRY: usize = 4 << 10;
/// Ids share a note of the last change, by their last byte: few enough to be small, and enough that a change keeps few others
/// from being kept.
const NOTES: usize = 256;

pub(super) struct Shelf<T> {
    pub(super) copies: Cache<Uuid, Held<T>>,
    ttl: Duration,
    /// Odd while somebody hears what changes.
    session: AtomicU64,
    changes: AtomicU64,
    /// By id: the last change.
    notes: Vec<Mutex<u64>>,
    pub(super) tally: Arc<Tally>,
}

/// Something as it was at a moment.
pub(super) struct Held<T> {
    value: Arc<T>,
    moment: Moment,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), moment: self.moment }
    }
}

/// When somebody began to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(super) session: u64,
    pub(super) change: u64,
    pub(super) at: Instant,
}

impl<T: Kept> Shelf<T> {
    pub(super) fn new(config: &CacheConfig, tally: &Arc<Tally>) -> Self {
        let (ttl, evictions) = (Duration::from_millis(config.near_ttl_ms), Arc::clone(tally));
        let copies = Cache::builder()
            .max_capacity(config.near_entries)
            .weigher(|_, held: &Held<T>| u32::try_from(1 + held.value.size() / ENTRY).unwrap_or(u32::MAX))
            .time_to_live(ttl)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evictions.near_evictions.add(1);
                }
            })
            .build();
        let notes = (0..NOTES).map(|_| Mutex::new(0)).collect();
        Self { copies, ttl, session: AtomicU64::new(0), changes: AtomicU64::new(0), notes, tally: Arc::clone(tally) }
    }

    /// Now; none while nobody hears what changes.
    pub(super) fn now(&self) -> Option<Moment> {
        let session = self.session.load(Ordering::Acquire);
        let moment = Moment { session, change: self.changes.load(Ordering::Acquire), at: Instant::now() };
        (session % 2 == 1).then_some(moment)
    }

    pub(super) fn get(&self, id: &Uuid, now: Moment) -> Option<T> {
        let held = self.copies.get(id)?;
        let is_good = held.moment.session == now.session && now.at.saturating_duration_since(held.moment.at) < self.ttl;
        is_good.then(|| T::clone(&held.value))
    }

    pub(super) fn put(&self, id: &Uuid, value: &T, moment: Moment) {
        let note = self.note(id);
        if *note > moment.change || self.session.load(Ordering::Acquire) != moment.session {
            return;
        }
        let is_newer = |held: Held<T>| held.moment.session == moment.session && held.value.version() > value.version();
        if !self.copies.get(id).is_some_and(is_newer) {
            self.copies.insert(*id, Held { value: Arc::new(value.clone()), moment });
        }
    }

    pub(super) fn changed(&self, id: &Uuid, version: i64) {
        let mut note = self.note(id);
        *note = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        if self.copies.get(id).is_none_or(|held| held.value.version() < version) {
            self.copies.invalidate(id);
        }
    }

    /// Begins, or ends, a session.
    pub(super) fn turn(&self, next: impl Fn(u64) -> u64) {
        self.session.store(next(self.session.load(Ordering::Acquire)), Ordering::Release);
        self.copies.invalidate_all();
    }

    fn note(&self, id: &Uuid) -> MutexGuard<'_, u64> {
        self.notes[usize::from(id.as_bytes()[15])].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
