//! The way of what the process does not have: Redis, then Postgres, then Redis again to keep it.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use uuid::Uuid;

use super::{Catalog, Kept};
use crate::{
    cache::{Found, Gap, Known},
    debt::Debt,
    entry::Entry,
    error::CatalogError,
    flight::Departure,
};

/// What a reader saw in the cache before it loads.
pub(super) struct Seen {
    /// Entries that are no longer fresh, by what they begin with.
    heads: HashMap<Uuid, String>,
    unreadable: HashSet<Uuid>,
    /// Redis does not answer.
    is_away: bool,
}

impl Seen {
    pub(super) fn of<T>(found: &Found<T>, is_away: bool) -> Self {
        let heads = found.expired.iter().map(|(id, entry)| (*id, entry.head())).collect();
        Self { heads, unreadable: found.unreadable.clone(), is_away: is_away || !found.answered }
    }
}

impl<T: Kept> Catalog<T> {
    /// What the cache says, asked about those ids only about which it is believed, and how many these are.
    pub(super) async fn look(&self, ids: &[Uuid]) -> (Found<T>, usize) {
        let debts = self.traffic.debts.of(ids);
        let believed: Vec<Uuid> = ids.iter().copied().filter(|id| !debts.contains_key(id)).collect();
        let found = if believed.is_empty() { Found::nothing() } else { self.cache.get(&believed).await };
        (found, believed.len())
    }

    /// Loads from Postgres and keeps in the cache.
    pub(super) async fn load(&self, Departure { mut ids, stale }: Departure, mut seen: Seen) -> Result<Known<T>, CatalogError> {
        let mut known = Known::new();
        if stale {
            let (found, _) = self.look(&ids).await;
            let again = Seen::of(&found, self.cache.is_away());
            seen = if found.answered { again } else { Seen { is_away: true, ..seen } };
            known = found.known;
            ids.retain(|id| !known.contains_key(id));
            if ids.is_empty() {
                return Ok(known);
            }
        }
        let debts = self.traffic.debts.of(&ids);
        let begun = Instant::now();
        let loaded = self.load_rows(&ids, seen.is_away).await;
        self.traffic.tally.loaded(begun.elapsed(), &loaded);
        let loaded = loaded?;
        if self.outage.ends() {
            tracing::info!("postgres answers again: nothing is served any more that is no longer fresh");
        }
        self.keep(&loaded, &seen, &debts).await;
        known.extend(loaded);
        Ok(known)
    }

    /// What there is. Where that is `instead` of Redis, few may ask at a time.
    pub(super) async fn load_rows(&self, ids: &[Uuid], instead: bool) -> Result<Known<T>, CatalogError> {
        let rows = self.pool.bounded(async {
            let _place = if instead { Some(self.traffic.fallback.place().await?) } else { None };
            let mut connection = self.pool.get().await?;
            Ok::<_, CatalogError>(T::load(&mut connection, ids, &self.scenarios).await?)
        });
        let rows = rows.await?;
        let mut loaded: Known<T> = ids.iter().map(|id| (*id, None)).collect();
        loaded.extend(rows.into_iter().map(|row| (row.id(), Some(row))));
        Ok(loaded)
    }

    /// Fills gaps, replaces what cannot be read, and pays the debts of writers that are due.
    async fn keep(&self, loaded: &Known<T>, seen: &Seen, debts: &HashMap<Uuid, Debt>) {
        let (mut gaps, mut repairs, mut paid) = (Vec::new(), Vec::new(), Vec::new());
        for (id, state) in loaded {
            let entry = (*id, state.as_ref());
            match debts.get(id) {
                None if seen.unreadable.contains(id) => repairs.push(entry),
                None => gaps.push(Gap { id: *id, state: state.as_ref(), head: seen.heads.get(id).map(String::as_str) }),
                Some(debt) if debt.is_due => {
                    repairs.push(entry);
                    paid.push((id, *debt));
                }
                // the write may be under way still
                Some(_) => {}
            }
        }
        self.cache.fill(&gaps).await;
        if self.cache.publish(&repairs).await {
            for (id, debt) in paid {
                self.traffic.debts.settle(id, debt);
            }
        }
    }

    /// What was fresh once, of all that is `missing`, where Postgres does not answer; else the error.
    pub(super) fn last_known(
        &self,
        missing: &[Uuid],
        mut expired: HashMap<Uuid, Entry<T>>,
        error: CatalogError,
    ) -> Result<Known<T>, CatalogError> {
        let is_all = missing.iter().all(|id| expired.contains_key(id));
        let is_owed = !self.traffic.debts.of(missing).is_empty();
        if !error.is_outage() || !is_all || is_owed || !self.cache.keeps_stale() {
            return Err(error);
        }
        self.traffic.tally.stale.add(missing.len());
        if self.outage.begins() {
            tracing::warn!(%error, "postgres does not answer: serving what is no longer fresh");
        }
        Ok(missing.iter().map(|id| (*id, expired.remove(id).map(|entry| entry.value))).collect())
    }
}
