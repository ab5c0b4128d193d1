//! Reading through the cache, and writing.

mod load;

use std::sync::Arc;

use chassis::{
    scenario::{Scenario, Scenarios},
    spawn,
};
use db::{connection::Connection, pool::Pool};
use diesel::QueryResult;
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    cache::{Cache, Found, Known},
    change::Change,
    config::CacheConfig,
    debt::Debts,
    error::CatalogError,
    fallback::Fallback,
    flight::{Departure, Flights, Moment},
    metrics::tally::{Outage, Tally},
    near::Near,
};
use load::Seen;

/// What the cache keeps: products, and posts with their comments.
pub(crate) trait Kept: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn id(&self) -> Uuid;

    /// Grows with each change.
    fn version(&self) -> i64;

    /// Bytes of its texts.
    fn size(&self) -> usize;

    /// What stands before the id in a key.
    fn prefix(config: &CacheConfig) -> &str;

    /// Those of `ids` that there are, in any order.
    fn load(connection: &mut Connection, ids: &[Uuid], scenarios: &Scenarios) -> impl Future<Output = QueryResult<Vec<Self>>> + Send;
}

/// What all runtimes of the process know of things of one kind.
#[derive(Clone)]
pub(crate) struct Traffic<T> {
    flights: Flights<T>,
    debts: Debts,
    near: Near<T>,
    fallback: Fallback,
    tally: Arc<Tally>,
}

impl<T: Kept> Traffic<T> {
    pub(crate) fn new(config: &CacheConfig, debts: Debts, fallback: Fallback) -> Self {
        let tally = Arc::default();
        Self { flights: Flights::default(), debts, near: Near::new(config, &tally), fallback, tally }
    }

    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// From now on all changes are heard.
    pub(crate) fn hears(&self) {
        self.flights.forget_all();
        self.near.begin();
    }

    /// From now on changes may be missed.
    pub(crate) fn hears_no_more(&self) {
        self.near.end();
    }

    /// Somebody has changed something; nobody knows what where it is none. Loads that have begun may not have seen it.
    pub(crate) fn heard(&self, change: Option<Change>) {
        self.tally.invalidations.add(1);
        if let Some(Change { id, version }) = change {
            self.flights.forget(&id);
            self.near.changed(&id, version);
        } else {
            self.flights.forget_all();
            self.near.clear();
        }
    }
}

/// All things of one kind. One per serving runtime.
#[derive(Clone)]
pub(crate) struct Catalog<T> {
    pool: Pool,
    cache: Cache<T>,
    traffic: Traffic<T>,
    scenarios: Scenarios,
    /// Whether Postgres does not answer, and what is no longer fresh is served.
    outage: Arc<Outage>,
}

impl<T: Kept> Catalog<T> {
    pub(crate) fn new(pool: Pool, cache: Cache<T>, traffic: Traffic<T>, scenarios: Scenarios, outage: Arc<Outage>) -> Self {
        Self { pool, cache, traffic, scenarios, outage }
    }

    /// Something or the lack of it for each of `ids`, each named once.
    pub(crate) async fn find(&self, ids: &[Uuid]) -> Result<Known<T>, CatalogError> {
        self.scenarios.pause(Scenario::DeadlineExceeded).await;
        let Traffic { flights, debts, near, .. } = &self.traffic;
        let (asked, moment) = (flights.now(), near.now());
        let owed = debts.of(ids);
        let believed: Vec<Uuid> = ids.iter().copied().filter(|id| !owed.contains_key(id)).collect();
        let mut known = if self.scenarios.is_on(Scenario::CacheStampede) { Known::new() } else { near.get(&believed) };
        let far: Vec<Uuid> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        if far.is_empty() {
            return Ok(known);
        }
        let Read { found, is_current } = self.read(&far, asked).await?;
        if is_current {
            near.keep(moment, found.iter().filter(|(id, _)| !owed.contains_key(*id)));
        }
        known.extend(found);
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
            // dropped last: who reads after that knows of the debt, if there is one
            let _near = catalog.traffic.near.forgetting(id);
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
        let Ok(now) = self.load_rows(&[id], false).await else { return false };
        self.cache.publish(&[(id, now.get(&id).and_then(Option::as_ref))]).await
    }

    /// Asks Redis and, for what it does not know, Postgres.
    async fn read(&self, ids: &[Uuid], asked: Moment) -> Result<Read<T>, CatalogError> {
        let (found, believed) = self.look(ids).await;
        self.traffic.tally.looked_up(believed, &found.known, found.answered);
        let seen = Seen::of(&found, self.cache.is_away());
        let Found { known: mut found, expired, .. } = found;
        let missing: Vec<Uuid> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(Read { found, is_current: true });
        }
        let catalog = self.clone();
        let load = |departure| async move { catalog.load(departure, seen).await };
        let loaded = if self.scenarios.is_on(Scenario::CacheStampede) {
            load(Departure { ids: missing.clone(), stale: false }).await.map(|loaded| vec![Arc::new(loaded)])
        } else {
            self.traffic.flights.join(&missing, asked, load).await
        };
        match loaded {
            Ok(loaded) => {
                let state = |id: &Uuid| loaded.iter().find_map(|loaded| loaded.get(id)).cloned().flatten();
                found.extend(missing.iter().map(|id| (*id, state(id))));
                Ok(Read { found, is_current: true })
            }
            Err(error) => {
                found.extend(self.last_known(&missing, expired, error)?);
                Ok(Read { found, is_current: false })
            }
        }
    }
}

/// What a reader found.
struct Read<T> {
    found: Known<T>,
    /// False where something in it is no longer fresh.
    is_current: bool,
}
