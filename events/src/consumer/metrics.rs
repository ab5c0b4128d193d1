//! What `/metrics` tells of a consumer: repeats, dead letters, duplicates, and how far it lags behind.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::kafka::{Statistics, statistics::Partition};
use chassis::Process;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
};

/// After this long without news from librdkafka its last word is not shown any more.
const STALE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reader {
    messaging_consumer_group_name: &'static str,
    messaging_destination_name: String,
}

/// Counters of one consumer group. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    group: &'static str,
    retries: Family<Reader, Counter>,
    dead_letters: Family<Reader, Counter>,
    duplicates: Family<Reader, Counter>,
}

impl Tally {
    pub(super) fn register(process: &Process, group: &'static str, topics: &[String]) -> Self {
        let tally = Self { group, retries: Family::default(), dead_letters: Family::default(), duplicates: Family::default() };
        let mut registry = process.registry();
        for (name, help, family) in [
            ("throughline_consumer_retries", "Repeats of records that failed", &tally.retries),
            ("throughline_consumer_dead_letters", "Records given up", &tally.dead_letters),
            ("throughline_consumer_duplicates", "Records whose effect was there already", &tally.duplicates),
        ] {
            for topic in topics {
                drop(family.get_or_create(&tally.reader(topic)));
            }
            registry.register(name, help, family.clone());
        }
        drop(registry);
        tally
    }

    pub(super) fn retry(&self, topic: &str) {
        self.retries.get_or_create(&self.reader(topic)).inc();
    }

    pub(super) fn dead_letter(&self, topic: &str) {
        self.dead_letters.get_or_create(&self.reader(topic)).inc();
    }

    pub(super) fn duplicate(&self, topic: &str) {
        self.duplicates.get_or_create(&self.reader(topic)).inc();
    }

    fn reader(&self, topic: &str) -> Reader {
        Reader { messaging_consumer_group_name: self.group, messaging_destination_name: topic.to_owned() }
    }
}

/// Records that a partition has and the group has not committed, by topic and partition.
type Lags = Vec<(String, i32, i64)>;

/// What librdkafka said last of the partitions that are this member's.
#[derive(Debug, Clone)]
pub(super) struct Lag {
    group: &'static str,
    seen: Arc<Mutex<Option<(Lags, Instant)>>>,
}

impl Lag {
    pub(super) fn register(process: &Process, group: &'static str) -> Self {
        let lag = Self { group, seen: Arc::default() };
        process.registry().register_collector(Box::new(lag.clone()));
        lag
    }

    pub(super) fn note(&self, statistics: &Statistics) {
        let mut lags = Lags::new();
        for topic in statistics.topics.values() {
            let known = |partition: &Partition| Some((topic.topic.clone(), partition.partition, lag_of(partition)?));
            lags.extend(topic.partitions.values().filter_map(known));
        }
        *self.seen() = Some((lags, Instant::now()));
    }

    fn seen(&self) -> MutexGuard<'_, Option<(Lags, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None for a partition that is somebody else's, or of which nothing is known yet.
fn lag_of(partition: &Partition) -> Option<i64> {
    if partition.partition < 0 || ["none", "stopping", "stopped"].contains(&partition.fetch_state.as_str()) {
        return None;
    }
    if partition.consumer_lag >= 0 {
        return Some(partition.consumer_lag);
    }
    // nothing was ever committed: the group begins with the first record that there is
    (partition.committed_offset < 0 && partition.lo_offset >= 0).then(|| (partition.hi_offset - partition.lo_offset).max(0))
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let seen = self.seen();
        let Some((lags, _)) = seen.as_ref().filter(|(lags, at)| !lags.is_empty() && at.elapsed() <= STALE) else { return Ok(()) };
        let help = "Records that the group has not committed yet";
        let mut family = encoder.encode_descriptor("messaging_kafka_consumer_lag", help, None, MetricType::Gauge)?;
        for (topic, partition, lag) in lags {
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

    fn partition(fetch_state: &str, committed: i64, low: i64, high: i64, lag: i64) -> Partition {
        Partition {
            fetch_state: fetch_state.into(),
            committed_offset: committed,
            lo_offset: low,
            hi_offset: high,
            consumer_lag: lag,
            ..Partition::default()
        }
    }

    #[test]
    fn the_lag_is_what_is_not_committed() {
        assert_eq!(lag_of(&partition("active", 7, 0, 10, 3)), Some(3));
        assert_eq!(lag_of(&partition("active", -1001, 4, 10, -1)), Some(6), "never committed");
        assert_eq!(lag_of(&partition("active", -1001, -1001, -1001, -1)), None, "not asked yet");
        assert_eq!(lag_of(&partition("active", 7, 0, -1001, -1)), None, "the end is not known");
        assert_eq!(lag_of(&partition("none", 7, 0, 10, 3)), None, "somebody else's");
    }
}
