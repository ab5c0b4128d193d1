//! Reading through the cache, and writing.

use std::collections::HashMap;

use chassis::spawn;
use db::{connection::Connection, pool::Pool};
use diesel::QueryResult;
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    cache::{Cache, Found, Known},
    config::CacheConfig,
    debt::{Debt, Debts},
    error::CatalogError,
    flight::{Departure, Flights},
};

/// What the cache keeps: products, and posts with their comments.
pub(crate) trait Kept: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn id(&self) -> Uuid;

    /// Grows with each change. Stands in the JSON form as `version`.
    fn version(&self) -> i64;

    /// What stands before the id in a key.
    fn prefix(config: &CacheConfig) -> &str;

    /// Those of `ids` that there are, in any order.
    fn load(connection: &mut Connection, ids: &[Uuid]) -> impl Future<Output = QueryResult<Vec<Self>>> + Send;
}

/// What all runtimes of the process know of things of one kind.
#[derive(Clone)]
pub(crate) struct Traffic<T> {
    flights: Flights<T>,
    debts: Debts,
}

impl<T> Traffic<T> {
    pub(crate) fn new(debts: Debts) -> Self {
        Self { flights: Flights::default(), debts }
    }
}

/// All things of one kind. One per serving runtime.
#[derive(Clone)]
pub(crate) struct Catalog<T> {
    pool: Pool,
    cache: Cache<T>,
    traffic: Traffic<T>,
}

impl<T: Kept> Catalog<T> {
    pub(crate) fn new(pool: Pool, cache: Cache<T>, traffic: Traffic<T>) -> Self {
        Self { pool, cache, traffic }
    }

    /// Something or the lack of it for each of `ids`, each named once.
    pub(crate) async fn find(&self, ids: &[Uuid]) -> Result<Known<T>, CatalogError> {
        let asked = self.traffic.flights.now();
        let Found { mut known, unreadable } = self.look(ids).await;
        let missing: Vec<Uuid> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        let catalog = self.clone();
        let load = |departure| async move { catalog.load(departure, unreadable).await };
        let loaded = self.traffic.flights.join(&missing, asked, load).await?;
        for id in missing {
            let state = loaded.iter().find_map(|loaded| loaded.get(&id)).cloned();
            known.insert(id, state.flatten());
        }
        Ok(known)
    }

    /// What Postgres alone is asked.
    pub(crate) async fn ask<A>(&self, question: impl AsyncFnOnce(&mut Connection) -> QueryResult<A>) -> Result<A, CatalogError> {
        let answer = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok(question(&mut connection).await?)
        });
        answer.await
    }

    /// Does `work`, one statement or one transaction that changes what `id` names, and then tells the cache what there is.
    /// Both end well though the caller goes away.
    pub(crate) async fn write<A: Send + 'static>(
        &self,
        id: Uuid,
        work: impl for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<A, CatalogError>> + Send + 'static,
    ) -> Result<A, CatalogError> {
        let catalog = self.clone();
        let done = spawn(async move {
            let promise = catalog.traffic.debts.promise(id);
            let outcome = catalog.do_work(work).await;
            catalog.traffic.flights.forget(&id);
            let settled = match &outcome {
                Ok(_) => catalog.tell(id).await,
                Err(error) => error.is_refusal(),
            };
            if settled {
                promise.kept();
            }
            outcome
        });
        done.await.unwrap_or_else(|_| Err(CatalogError::Unavailable("the write was given up".into())))
    }

    async fn do_work<A>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<A, CatalogError>>,
    ) -> Result<A, CatalogError> {
        let done = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            work(&mut connection).await
        });
        done.await
    }

    /// Tells the cache what there is now. False where it does not know after that.
    async fn tell(&self, id: Uuid) -> bool {
        // asked after the commit: who commits last sees, and tells, what all others did
        let Ok(now) = self.load_rows(&[id]).await else { return false };
        self.cache.publish(&[(id, now.get(&id).and_then(Option::as_ref))]).await
    }

    /// What the cache says, asked about those ids only about which it is believed.
    async fn look(&self, ids: &[Uuid]) -> Found<T> {
        let debts = self.traffic.debts.of(ids);
        let believed: Vec<Uuid> = ids.iter().copied().filter(|id| !debts.contains_key(id)).collect();
        if believed.is_empty() {
            return Found { known: Known::new(), unreadable: Vec::new() };
        }
        self.cache.get(&believed).await
    }

    /// Loads from Postgres and keeps in the cache.
    async fn load(&self, Departure { mut ids, stale }: Departure, mut unreadable: Vec<Uuid>) -> Result<Known<T>, CatalogError> {
        let mut known = Known::new();
        if stale {
            let found = self.look(&ids).await;
            unreadable.extend(found.unreadable);
            known = found.known;
            ids.retain(|id| !known.contains_key(id));
            if ids.is_empty() {
                return Ok(known);
            }
        }
        let debts = self.traffic.debts.of(&ids);
        let loaded = self.load_rows(&ids).await?;
        self.keep(&loaded, &unreadable, &debts).await;
        known.extend(loaded);
        Ok(known)
    }

    async fn load_rows(&self, ids: &[Uuid]) -> Result<Known<T>, CatalogError> {
        let rows = self.ask(async |connection| T::load(connection, ids).await).await?;
        let mut loaded: Known<T> = ids.iter().map(|id| (*id, None)).collect();
        loaded.extend(rows.into_iter().map(|row| (row.id(), Some(row))));
        Ok(loaded)
    }

    /// Fills gaps, replaces what cannot be read, and pays the debts of writers that are due.
    async fn keep(&self, loaded: &Known<T>, unreadable: &[Uuid], debts: &HashMap<Uuid, Debt>) {
        let (mut gaps, mut repairs, mut paid) = (Vec::new(), Vec::new(), Vec::new());
        for (id, state) in loaded {
            let entry = (*id, state.as_ref());
            match debts.get(id) {
                None if unreadable.contains(id) => repairs.push(entry),
                None => gaps.push(entry),
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
}
