//! What `/metrics` tells of mail, and how much waits.

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
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Unit,
};
use tokio::time::sleep;

use super::store::{self, Backlog};
use crate::consumer::HandleError;

/// Looks that may be missed before what was seen is not shown any more.
const MISSED_LOOKS: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// What became of mails. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    mails: Family<Outcome, Counter>,
    possible_duplicates: Counter,
    available: Gauge,
}

impl Tally {
    pub(super) fn register(process: &Process) -> Self {
        let tally = Self::default();
        let mut registry = process.registry();
        for result in ["sent", "retried", "dead_lettered"] {
            drop(tally.mails.get_or_create(&Outcome { result }));
        }
        tally.available(true);
        registry.register("throughline_mails", "Sendings of mails by what became of them", tally.mails.clone());
        let help = "Mails sent once more although they may have been sent";
        registry.register("throughline_mail_possible_duplicates", help, tally.possible_duplicates.clone());
        registry.register("throughline_mail_available", "1 while mail can leave, 0 while all of it waits", tally.available.clone());
        drop(registry);
        tally
    }

    pub(super) fn sent(&self) {
        self.count("sent");
    }

    /// Refused for now.
    pub(super) fn retried(&self) {
        self.count("retried");
    }

    pub(super) fn dead_lettered(&self) {
        self.count("dead_lettered");
    }

    pub(super) fn possible_duplicate(&self) {
        self.possible_duplicates.inc();
    }

    pub(super) fn available(&self, is: bool) {
        self.available.set(i64::from(is));
    }

    fn count(&self, result: &'static str) {
        self.mails.get_or_create(&Outcome { result }).inc();
    }
}

/// The latest look at how many mails wait. One that is too old, since Postgres does not answer, is not shown.
#[derive(Debug, Clone)]
pub(super) struct Depth {
    known: Arc<Mutex<Known>>,
    interval: Duration,
    limit: i64,
}

#[derive(Debug, Default)]
struct Known {
    seen: Option<(Backlog, Instant)>,
    /// Mails that this process wrote down after that look had begun.
    added: i64,
    /// Mails that it is writing down.
    places: i64,
}

/// Room for a mail that is being written down; free again when dropped.
#[must_use]
pub(super) struct Place {
    known: Arc<Mutex<Known>>,
    taken: i64,
}

impl Place {
    /// The mail waits now.
    pub(super) fn take(mut self) {
        self.taken = 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = locked(&self.known);
        known.places -= 1;
        known.added += self.taken;
    }
}

impl Depth {
    pub(super) fn new(interval: Duration, limit: u32) -> Self {
        Self { known: Arc::default(), interval, limit: limit.into() }
    }

    /// Looks now and then, on a connection of the pool, until the process stops.
    pub(super) fn watch(&self, pool: Pool, process: &Process) {
        process.registry().register_collector(Box::new(self.clone()));
        let (depth, shutdown) = (self.clone(), process.shutdown.clone());
        process.background(async move {
            while !shutdown.is_cancelled() {
                if let Err(error) = depth.look(&pool).await {
                    // the sender, which works on the same table, tells of an outage
                    tracing::debug!(%error, "the mails that wait cannot be counted");
                }
                tokio::select! {
                    () = sleep(depth.interval) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        });
    }

    async fn look(&self, pool: &Pool) -> Result<(), HandleError> {
        let before = self.known().added;
        let look = async { Ok::<_, HandleError>(store::backlog(&mut *pool.get().await?).await?) };
        let backlog = pool.bounded(look).await?;
        let mut known = self.known();
        known.seen = Some((backlog, Instant::now()));
        // what came meanwhile may be counted twice until the next look: rather too much than too little
        known.added -= before;
        Ok(())
    }

    /// Room for another mail, if there is any as far as is known.
    pub(super) fn place(&self) -> Option<Place> {
        let mut known = self.known();
        let waiting = known.seen.map_or(0, |(backlog, _)| backlog.rows) + known.added + known.places;
        if waiting >= self.limit {
            return None;
        }
        known.places += 1;
        Some(Place { known: Arc::clone(&self.known), taken: 0 })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        locked(&self.known)
    }

    fn shown(&self) -> Option<Backlog> {
        self.known().seen.filter(|(_, at)| at.elapsed() <= self.interval * MISSED_LOOKS).map(|(backlog, _)| backlog)
    }
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector for Depth {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(Backlog { rows, oldest_age }) = self.shown() else { return Ok(()) };
        let rows = ConstGauge::new(rows);
        rows.encode(encoder.encode_descriptor(
            "throughline_mail_outbox_rows",
            "Mails that wait or are being sent",
            None,
            MetricType::Gauge,
        )?)?;
        let age = ConstGauge::new(oldest_age);
        let help = "For how long the oldest mail has been waiting";
        age.encode(encoder.encode_descriptor("throughline_mail_outbox_oldest_age", help, Some(&Unit::Seconds), MetricType::Gauge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_since_the_last_look_or_is_being_written_counts_too() {
        let depth = Depth::new(Duration::from_secs(5), 3);
        depth.known().seen = Some((Backlog { rows: 1, oldest_age: 0.5 }, Instant::now()));
        depth.place().unwrap().take();
        let place = depth.place();
        assert!(place.is_some() && depth.place().is_none());
        drop(place);
        assert!(depth.place().is_some(), "it came to nothing");
    }

    #[test]
    fn what_was_seen_too_long_ago_is_not_shown() {
        let backlog = Backlog { rows: 3, oldest_age: 1.5 };
        let depth = Depth::new(Duration::from_secs(5), 10);
        assert_eq!(depth.shown(), None);
        let since = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        depth.known().seen = Some((backlog, since(14)));
        assert_eq!(depth.shown(), Some(backlog));
        depth.known().seen = Some((backlog, since(16)));
        assert_eq!(depth.shown(), None);
    }
}
