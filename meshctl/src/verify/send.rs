//! When the next order goes out.

use std::sync::Arc;
use std::time::Duration;

use tokio::{
    sync::{Semaphore, mpsc::UnboundedSender},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::shop::{Sent, Shop};

/// How many orders, how fast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The number of orders.
    pub(crate) orders: Option<u64>,
    /// The time within which orders begin; for ever where neither is told.
    pub(crate) duration: Option<Duration>,
    /// Orders per second; none sends the next one as soon as one is answered.
    pub(crate) rate: Option<f64>,
    /// How many may be unanswered.
    pub(crate) concurrency: usize,
}

/// Places orders by the plan and passes them on as they are answered. An order's time does not depend on the answers to
/// those before it, but for the bound on how many are unanswered.
pub(crate) async fn send(shop: Arc<Shop>, plan: Plan, answered: UnboundedSender<Sent>) {
    let start = Instant::now();
    let permits = Arc::new(Semaphore::new(plan.concurrency));
    let mut under_way = JoinSet::new();
    for turn in 0..plan.orders.unwrap_or(u64::MAX) {
        let due = plan.rate.map_or(start, |rate| start + at(turn, rate));
        sleep_until(due).await;
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        if plan.duration.is_some_and(|duration| start.elapsed() >= duration) || answered.is_closed() {
            break;
        }
        let (shop, answered) = (Arc::clone(&shop), answered.clone());
        under_way.spawn(async move {
            // nobody is left to tell where the run has been ended
            let _ = answered.send(shop.order(turn).await);
            drop(permit);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

#[expect(clippy::cast_precision_loss, reason = "2^52 orders are more than a run sends")]
fn at(turn: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(turn as f64 / rate)
}
