//! Reports: questions about everybody's orders, which take long where there are many. They have a time of their own, longer
//! than that of an order, and only so many are answered at once, so that the connections and the cores stay with the orders.

use std::{sync::Arc, time::Duration};

use chassis::grpc::deadline;
use db::pool::{Pool, PooledConnection};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    config::StatsConfig,
    error::OrderError,
    period::Period,
    stats::{CustomerRevenue, DayRevenue, OrderValues, Stats},
    store,
};

/// How many reports the process answers at once. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    /// `stats.concurrency` of them.
    pub(crate) fn new(config: &StatsConfig) -> Self {
        Self(Arc::new(Semaphore::new(config.concurrency)))
    }
}

/// One per serving runtime; clones share the connections and the turns.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    pool: Pool,
    turns: Turns,
    limit: Duration,
}

impl Reports {
    /// Reports by connections of `pool`, as long as `stats.timeout_ms` each, a turn waited for included.
    pub(crate) fn new(config: &StatsConfig, pool: Pool, turns: Turns) -> Self {
        Self { pool, turns, limit: Duration::from_millis(config.timeout_ms) }
    }

    /// Counts and sums.
    pub(crate) async fn stats(&self, period: &Period) -> Result<Stats, OrderError> {
        self.run(|mut connection, left| async move { store::stats_of_all(&mut connection, left, period).await }).await
    }

    /// What each day (UTC) has brought by currency, oldest first; cancelled orders and days without any are left out.
    pub(crate) async fn revenue_by_day(&self, period: &Period) -> Result<Vec<DayRevenue>, OrderError> {
        self.run(|mut connection, left| async move { store::revenue_by_day(&mut connection, left, period).await }).await
    }

    /// Those who have ordered for most, `number` of them by currency: in the order of the codes, and the best first; cancelled
    /// orders are left out.
    pub(crate) async fn top_customers(&self, period: &Period, number: u32) -> Result<Vec<CustomerRevenue>, OrderError> {
        self.run(|mut connection, left| async move { store::top_customers(&mut connection, left, period, number).await }).await
    }

    /// What orders come to, by currency and in the order of the codes; cancelled ones are left out.
    pub(crate) async fn order_values(&self, period: &Period) -> Result<Vec<OrderValues>, OrderError> {
        self.run(|mut connection, left| async move { store::order_values(&mut connection, left, period).await }).await
    }

    /// Hands a connection to a report, and what is left of its time.
    async fn run<'a, T, F>(&'a self, report: impl FnOnce(PooledConnection<'a>, Duration) -> F) -> Result<T, OrderError>
    where
        F: Future<Output = Result<T, OrderError>>,
    {
        let limit = deadline::left().map_or(self.limit, |left| left.min(self.limit));
        let end = Instant::now() + limit;
        let late = || OrderError::Unavailable(format!("no report within {} ms", limit.as_millis()));
        let work = async {
            let _turn = self.turns.0.acquire().await.map_err(|_| late())?;
            let connection = self.pool.get_answering().await?;
            report(connection, end.saturating_duration_since(Instant::now())).await
        };
        timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}
