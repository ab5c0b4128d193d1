//! What `/metrics` tells of an outbox: how much stands in it, for how long, and what leaves it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chassis::Process;
use db::pool::Pool;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Unit,
};
use tokio::time::sleep;

use super::{RelayError, rows};

/// Looks that may be missed before what was seen is not shown any more.
const MISSED_LOOKS: u32 = 3;

/// What became of an attempt to send a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Kafka has it.
    Published,
    /// Kafka will never take it, and has its dead letter.
    DeadLettered,
    /// Not acknowledged: the row stays and its record is sent again.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// Records that left the relay. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Family<Outcome, Counter>);

impl Records {
    pub(super) fn register(process: &Process) -> Self {
        let records = Self::default();
        for fate in [Fate::Published, Fate::DeadLettered, Fate::Failed] {
            records.add(fate, 0);
        }
        process.registry().register("throughline_relay_records", "Records sent from the outbox by what became of them", records.0.clone());
        records
    }

    pub(super) fn count(&self, fate: Fate) {
        self.add(fate, 1);
    }

    fn add(&self, fate: Fate, count: u64) {
        let result = match fate {
            Fate::Published => "published",
            Fate::DeadLettered => "dead_lettered",
            Fate::Failed => "failed",
        };
        self.0.get_or_create(&Outcome { result }).inc_by(count);
    }
}

/// Rows of an outbox, and the age of the oldest in seconds: 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Backlog {
    pub(super) rows: i64,
    pub(super) oldest_age: f64,
}

/// The latest look at an outbox. One that is too old, since Postgres does not answer, is not shown: no value is better
/// than one that stands still.
#[derive(Debug, Clone)]
pub(super) struct Depth {
    seen: Arc<Mutex<Option<(Backlog, Instant)>>>,
    interval: Duration,
}

impl Depth {
    /// Looks now and then, on a connection of the pool, until the process stops.
    pub(super) fn watch(interval: Duration, pool: Pool, schema: &'static str, process: &Process) {
        let depth = Self { seen: Arc::default(), interval };
        process.registry().register_collector(Box::new(depth.clone()));
        let shutdown = process.shutdown.clone();
        process.background(async move {
            while !shutdown.is_cancelled() {
                match pool.bounded(look(&pool, schema)).await {
                    Ok(backlog) => *depth.seen() = Some((backlog, Instant::now())),
                    // the relay, which works on the same table, tells of an outage
                    Err(error) => tracing::debug!(%error, schema, "the outbox cannot be counted"),
                }
                tokio::select! {
                    () = sleep(interval) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        });
    }

    fn seen(&self) -> MutexGuard<'_, Option<(Backlog, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> Option<Backlog> {
        self.seen().filter(|(_, at)| at.elapsed() <= self.interval * MISSED_LOOKS).map(|(backlog, _)| backlog)
    }
}

async fn look(pool: &Pool, schema: &str) -> Result<Backlog, RelayError> {
    let mut connection = pool.get().await?;
    Ok(rows::backlog(&mut connection, schema).await?)
}

impl Collector for Depth {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(Backlog { rows, oldest_age }) = self.shown() else { return Ok(()) };
        let rows = ConstGauge::new(rows);
        rows.encode(encoder.encode_descriptor("throughline_outbox_rows", "Events that wait for Kafka", None, MetricType::Gauge)?)?;
        let age = ConstGauge::new(oldest_age);
        let help = "For how long the oldest event has been waiting";
        age.encode(encoder.encode_descriptor("throughline_outbox_oldest_age", help, Some(&Unit::Seconds), MetricType::Gauge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_too_long_ago_is_not_shown() {
        let backlog = Backlog { rows: 3, oldest_age: 1.5 };
        let depth = Depth { seen: Arc::default(), interval: Duration::from_secs(5) };
        assert_eq!(depth.shown(), None);
        let since = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        *depth.seen() = Some((backlog, since(14)));
        assert_eq!(depth.shown(), Some(backlog));
        *depth.seen() = Some((backlog, since(16)));
        assert_eq!(depth.shown(), None);
    }
}
