//! Writes of which the cache may not know.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

/// The ids about which this process does not believe the cache, and since when: a write was not told to it, or nobody
/// knows whether the write happened. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Debts {
    open: Arc<Mutex<HashMap<Uuid, Instant>>>,
    /// After this, what was under way when the write failed has ended.
    due: Duration,
    /// After this, the cache has forgotten by itself what it held.
    void: Duration,
}

impl Debts {
    pub(crate) fn new(due: Duration, void: Duration) -> Self {
        Self { open: Arc::default(), due, void }
    }

    /// Begins a write. However it ends, it leaves a debt unless [`Promise::kept`] is called.
    pub(crate) fn promise(&self, id: Uuid) -> Promise {
        Promise { debts: self.clone(), id, kept: false }
    }

    /// The debts of `ids`, to be asked before Postgres is.
    pub(crate) fn of(&self, ids: &[Uuid]) -> HashMap<Uuid, Debt> {
        let open = self.open();
        let debt = |since: &Instant| Debt { since: *since, is_due: since.elapsed() >= self.due };
        if open.is_empty() { HashMap::new() } else { ids.iter().filter_map(|id| Some((*id, debt(open.get(id)?)))).collect() }
    }

    /// Strikes out what has been paid, unless a later write owes again.
    pub(crate) fn settle(&self, id: &Uuid, paid: Debt) {
        let mut open = self.open();
        if open.get(id) == Some(&paid.since) {
            open.remove(id);
        }
    }

    fn add(&self, id: Uuid) {
        let mut open = self.open();
        open.retain(|_, since| since.elapsed() < self.void);
        open.insert(id, Instant::now());
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader may have to tell the cache in a writer's stead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Debt {
    since: Instant,
    /// What is loaded from now on cannot be overtaken by the write any more: it may be told.
    pub(crate) is_due: bool,
}

/// A write that is under way.
pub(crate) struct Promise {
    debts: Debts,
    id: Uuid,
    kept: bool,
}

impl Promise {
    /// The cache knows of the write, or it certainly did not happen.
    pub(crate) fn kept(mut self) {
        self.kept = true;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.debts.add(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_owed_until_it_is_settled() {
        let (debts, [one, two]) = (Debts::new(Duration::ZERO, Duration::MAX), [Uuid::from_u128(1), Uuid::from_u128(2)]);
        debts.promise(one).kept();
        drop(debts.promise(two));
        let owed = debts.of(&[one, two]);
        assert_eq!(owed.keys().collect::<Vec<_>>(), [&two]);
        assert!(owed[&two].is_due);
        // a later write that failed is another debt
        drop(debts.promise(two));
        debts.settle(&two, owed[&two]);
        let later = debts.of(&[two]);
        debts.settle(&two, later[&two]);
        assert!(!later.is_empty() && debts.of(&[two]).is_empty());
    }

    #[test]
    fn a_young_debt_is_not_due() {
        let (debts, id) = (Debts::new(Duration::MAX, Duration::MAX), Uuid::from_u128(1));
        drop(debts.promise(id));
        assert!(!debts.of(&[id])[&id].is_due);
    }

    #[test]
    fn what_the_cache_has_forgotten_is_forgiven() {
        let (debts, [one, two]) = (Debts::new(Duration::ZERO, Duration::ZERO), [Uuid::from_u128(1), Uuid::from_u128(2)]);
        drop(debts.promise(one));
        drop(debts.promise(two));
        assert_eq!(debts.of(&[one, two]).keys().collect::<Vec<_>>(), [&two]);
    }
}
