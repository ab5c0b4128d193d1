//! Reports: questions about everybody's orders, which take long where there are many. They have a time of their own, longer
//! than that of an order, and only so many are answered at once, so that the connections and the cores stay with the orders.

use std::{sync::Arc, time::Duration};

use chassis::grpc::deadline;
use db::pool::{Pool, PooledConnection};
use prost_types::Timestamp;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tonic::Status;

pub use crate::stats::{CustomerRevenue, DayRevenue, OrderValues};
use crate::{config::StatsConfig, error::OrderError, field::Fields, period::Period, stats::Stats, store};

/// Customers that can be asked for.
const MAX_CUSTOMERS: u32 = 100;

/// How many reports the process answers at once. Clones share it.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// `stats.concurrency` of them.
    pub fn new(config: &StatsConfig) -> Self {
        Self(Arc::new(Semaphore::new(config.concurrency)))
    }
}

/// One per serving runtime.
#[derive(Debug)]
pub struct Reports {
    pool: Pool,
    turns: Turns,
    limit: Duration,
}

impl Reports {
    /// Reports by connections of `pool`, as long as `stats.timeout_ms` each, a turn waited for included.
    pub fn new(config: &StatsConfig, pool: Pool, turns: Turns) -> Self {
        Self { pool, turns, limit: Duration::from_millis(config.timeout_ms) }
    }

    /// Counts and sums.
    pub(crate) async fn stats(&self, period: &Period) -> Result<Stats, OrderError> {
        self.run(|mut connection, left| async move { store::stats_of_all(&mut connection, left, period).await }).await
    }

    /// What each day (UTC) has brought by currency, oldest first, between `from` and `before`; cancelled orders and days without
    /// any are left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` names `created_from` and `created_before`; `UNAVAILABLE`
    pub async fn revenue_by_day(&self, from: Option<Timestamp>, before: Option<Timestamp>) -> Result<Vec<DayRevenue>, Status> {
        let period = &span(from, before, Fields::default())?;
        Ok(self.run(|mut connection, left| async move { store::revenue_by_day(&mut connection, left, period).await }).await?)
    }

    /// Those who have ordered for most, `number` of them (1 to 100) by currency: in the order of the codes, and the best first;
    /// cancelled orders are left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` names `created_from`, `created_before` and `number`; `UNAVAILABLE`
    pub async fn top_customers(
        &self,
        from: Option<Timestamp>,
        before: Option<Timestamp>,
        number: u32,
    ) -> Result<Vec<CustomerRevenue>, Status> {
        let mut fields = Fields::default();
        if !(1..=MAX_CUSTOMERS).contains(&number) {
            fields.refuse("number", format!("must be 1 to {MAX_CUSTOMERS}"));
        }
        let period = &span(from, before, fields)?;
        Ok(self.run(|mut connection, left| async move { store::top_customers(&mut connection, left, period, number).await }).await?)
    }

    /// What orders come to, by currency and in the order of the codes; cancelled ones are left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` names `created_from` and `created_before`; `UNAVAILABLE`
    pub async fn order_values(&self, from: Option<Timestamp>, before: Option<Timestamp>) -> Result<Vec<OrderValues>, Status> {
        let period = &span(from, before, Fields::default())?;
        Ok(self.run(|mut connection, left| async move { store::order_values(&mut connection, left, period).await }).await?)
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
            let connection = self.pool.get().await?;
            report(connection, end.saturating_duration_since(Instant::now())).await
        };
        timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}

fn span(from: Option<Timestamp>, before: Option<Timestamp>, mut fields: Fields) -> Result<Period, OrderError> {
    let period = Period::new(from, before, &mut fields);
    fields.all_right()?;
    Ok(period)
}
