//! How far a consumer lags behind, for `/metrics` and for readiness.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::kafka::{Statistics, statistics::Partition};
use chassis::Process;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// After this long without news from librdkafka its last word is not shown any more.
const STALE: Duration = Duration::from_mins(1);
/// A member without partitions is one too many when it stays without for this long.
const SETTLED: Duration = Duration::from_secs(3);

type Place = (String, i32);

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    /// Records that a partition has and the group has not committed.
    lags: BTreeMap<Place, i64>,
    /// Since when a partition lags.
    since: BTreeMap<Place, Instant>,
    /// Ends of partitions that are not fetched from, of which librdkafka learns nothing new.
    ends: BTreeMap<Place, i64>,
    spare: bool,
    /// Partitions that are not fetched from.
    paused: i64,
}

/// What librdkafka said last of the group and of the partitions that are this member's.
#[derive(Debug, Clone)]
pub(in crate::consumer) struct Lag {
    group: &'static str,
    seen: Arc<Mutex<Seen>>,
}

impl Lag {
    pub(in crate::consumer) fn register(process: &Process, group: &'static str) -> Self {
        let lag = Self { group, seen: Arc::default() };
        process.registry().register_collector(Box::new(lag.clone()));
        lag
    }

    pub(in crate::consumer) fn note(&self, statistics: &Statistics) {
        let mut seen = self.seen();
        let mut lags = BTreeMap::new();
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values() {
                let place = (topic.topic.clone(), partition.partition);
                if let Some(lag) = lag_of(partition, seen.ends.get(&place).copied()) {
                    lags.insert(place, lag);
                }
            }
        }
        let now = Instant::now();
        let behind = lags.iter().filter(|(_, lag)| **lag > 0).map(|(place, _)| place);
        seen.since = behind.map(|place| (place.clone(), seen.since.get(place).copied().unwrap_or(now))).collect();
        seen.lags = lags;
        seen.at = Some(now);
        seen.spare = statistics.cgrp.as_ref().is_some_and(|group| {
            let settled = u128::try_from(group.rebalance_age).is_ok_and(|age| age >= SETTLED.as_millis());
            group.state == "up" && group.join_state == "steady" && group.assignment_size == 0 && group.rebalance_cnt > 0 && settled
        });
    }

    /// How many partitions are not fetched from.
    pub(in crate::consumer) fn note_paused(&self, partitions: usize) {
        self.seen().paused = i64::try_from(partitions).unwrap_or(i64::MAX);
    }

    /// Where partitions end that are not fetched from.
    pub(in crate::consumer) fn note_ends(&self, ends: BTreeMap<Place, i64>) {
        self.seen().ends = ends;
    }

    /// Since when there are records of a partition that the group has not committed; none where there are none.
    pub(in crate::consumer) fn behind_since(&self, topic: &str, partition: i32) -> Option<Instant> {
        self.fresh()?.since.get(&(topic.to_owned(), partition)).copied()
    }

    /// True for a member of a group that has nothing for it to do, as there are more members than partitions.
    pub(in crate::consumer) fn is_spare(&self) -> bool {
        self.fresh().is_some_and(|seen| seen.spare)
    }

    fn fresh(&self) -> Option<MutexGuard<'_, Seen>> {
        let seen = self.seen();
        seen.at.is_some_and(|at| at.elapsed() <= STALE).then_some(seen)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None for a partition that is somebody else's, or of which nothing is known yet. `end` is a later word about its end.
fn lag_of(partition: &Partition, end: Option<i64>) -> Option<i64> {
    if partition.partition < 0 || ["none", "stopping", "stopped"].contains(&partition.fetch_state.as_str()) {
        return None;
    }
    let end = partition.hi_offset.max(end.unwrap_or(-1));
    // a record that is gone is not waited for; and where nothing was ever committed the group begins with the first that there is
    let next = partition.committed_offset.max(partition.lo_offset);
    (end >= 0 && next >= 0).then(|| (end - next).max(0))
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let group = [("messaging_consumer_group_name", self.group)];
        let help = "Partitions that are not fetched from, since enough of them is in hand";
        let mut family = encoder.encode_descriptor("throughline_consumer_paused_partitions", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.seen().paused).encode(family.encode_family(&group)?)?;
        let Some(seen) = self.fresh().filter(|seen| !seen.lags.is_empty()) else { return Ok(()) };
        let help = "Records that the group has not committed yet";
        let mut family = encoder.encode_descriptor("messaging_kafka_consumer_lag", help, None, MetricType::Gauge)?;
        for ((topic, partition), lag) in &seen.lags {
            let partition = partition.to_string();
            let labels = [
                ("messaging_consumer_group_name", self.group),
                ("messaging_destination_name", topic.as_str()),
                ("messaging_destination_partition_id", partition.as_str()),
            ];
            ConstGauge::new(*lag).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(fetch_state: &str, committed: i64, low: i64, high: i64) -> Partition {
        Partition { fetch_state: fetch_state.into(), committed_offset: committed, lo_offset: low, hi_offset: high, ..Partition::default() }
    }

    #[test]
    fn the_lag_is_what_is_not_committed() {
        assert_eq!(lag_of(&partition("active", 7, 0, 10), None), Some(3));
        assert_eq!(lag_of(&partition("active", -1001, 4, 10), None), Some(6), "never committed");
        assert_eq!(lag_of(&partition("active", -1001, -1001, -1001), None), None, "not asked yet");
        assert_eq!(lag_of(&partition("active", 7, 0, -1001), None), None, "the end is not known");
        assert_eq!(lag_of(&partition("none", 7, 0, 10), None), None, "somebody else's");
    }

    #[test]
    fn a_partition_that_is_not_fetched_from_grows_nevertheless() {
        assert_eq!(lag_of(&partition("active", 7, 0, 10), Some(25)), Some(18));
        assert_eq!(lag_of(&partition("active", 12, 0, 30), Some(25)), Some(18), "an older word");
    }

    #[test]
    fn records_that_are_deleted_are_not_waited_for() {
        assert_eq!(lag_of(&partition("active", 7, 10, 10), None), Some(0));
    }
}
