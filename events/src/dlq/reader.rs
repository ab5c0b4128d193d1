//! Reading a topic from one end to the other, as a member of no group.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ::kafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::KafkaError,
};
use chassis::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::DlqError;
use crate::{consumer::Record, kafka::KafkaConfig};

/// How long the broker may take to say something.
const ANSWER: Duration = Duration::from_secs(4);
/// How long it may take to hand out the next record.
const NEXT: Duration = Duration::from_secs(10);

/// Where each partition began and ended when it was looked at.
pub(super) type Bounds = BTreeMap<i32, (i64, i64)>;

/// Looks where a topic (its full name) begins and ends. None where there is no such topic.
pub(super) async fn bounds(config: &KafkaConfig, topic: &str) -> Result<Option<Bounds>, DlqError> {
    let away = |source| DlqError::Away { brokers: config.brokers.clone(), source };
    let consumer: BaseConsumer = config.client("dlq").create()?;
    let topic = topic.to_owned();
    let looked = spawn_blocking(move || {
        let deadline = std::time::Instant::now() + ANSWER;
        let left = || deadline.saturating_duration_since(std::time::Instant::now());
        let metadata = consumer.fetch_metadata(Some(&topic), left())?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let mut bounds = Bounds::new();
        for partition in found.iter().flat_map(|found| found.partitions()) {
            bounds.insert(partition.id(), consumer.fetch_watermarks(&topic, partition.id(), left())?);
        }
        Ok(Some(bounds).filter(|bounds| !bounds.is_empty()))
    });
    looked.await.unwrap_or(Err(KafkaError::Canceled)).map_err(away)
}

/// A topic that is being read.
pub(super) struct Reader {
    consumer: StreamConsumer,
    ends: BTreeMap<i32, i64>,
    pending: BTreeSet<i32>,
}

impl Reader {
    /// Reads what lies within the bounds.
    pub(super) fn open(config: &KafkaConfig, topic: &str, bounds: &Bounds) -> Result<Self, DlqError> {
        let consumer: StreamConsumer = config
            .client("dlq")
            // librdkafka wants a name to assign partitions by hand; no group of it ever comes to be
            .set("group.id", config.named("dlq-desk"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // what is deleted meanwhile is passed over
            .set("auto.offset.reset", "earliest")
            // what is fetched ahead, however many letters there are
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut list = TopicPartitionList::new();
        let filled: Vec<(i32, (i64, i64))> =
            bounds.iter().map(|(partition, bounds)| (*partition, *bounds)).filter(|(_, (begin, end))| begin < end).collect();
        for (partition, (begin, _)) in &filled {
            list.add_partition_offset(topic, *partition, Offset::Offset(*begin))?;
        }
        consumer.assign(&list)?;
        let ends = filled.iter().map(|(partition, (_, end))| (*partition, *end)).collect();
        Ok(Self { consumer, ends, pending: filled.iter().map(|(partition, _)| *partition).collect() })
    }

    /// The next record; none at the end of all partitions.
    pub(super) async fn next(&mut self) -> Result<Option<Record>, DlqError> {
        let deadline = Instant::now() + NEXT;
        while !self.pending.is_empty() {
            match timeout_at(deadline, self.consumer.recv()).await {
                Err(_) => return Err(DlqError::Stalled),
                Ok(Ok(message)) => {
                    let record = Record::from(&message);
                    let end = self.ends.get(&record.partition).copied().unwrap_or(0);
                    if record.offset + 1 >= end {
                        self.pending.remove(&record.partition);
                    }
                    if record.offset < end {
                        return Ok(Some(record));
                    }
                }
                Ok(Err(KafkaError::PartitionEOF(partition))) => drop(self.pending.remove(&partition)),
                // librdkafka goes on by itself, until the time is up
                Ok(Err(error)) => tracing::debug!(%error, "reading dead letters"),
            }
        }
        Ok(None)
    }
}
