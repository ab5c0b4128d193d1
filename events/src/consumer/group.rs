//! Membership in a consumer group.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::kafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, MessageStream, Rebalance, StreamConsumer},
    error::KafkaResult,
};
use chassis::spawn_blocking;

use super::{batch::Offsets, metrics::Lag};
use crate::kafka::KafkaConfig;

const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// Notes whether partitions are assigned, and how far behind they are.
pub(super) struct Assignment {
    assigned: Arc<AtomicBool>,
    lag: Lag,
}

impl ClientContext for Assignment {
    fn stats(&self, statistics: Statistics) {
        self.lag.note(&statistics);
    }
}

impl ConsumerContext for Assignment {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        let count = consumer.assignment().map(|list| list.count()).unwrap_or_default();
        tracing::info!(partitions = count, "kafka assignment");
        self.assigned.store(count > 0, Ordering::Release);
    }
}

pub(super) struct Group {
    consumer: Arc<StreamConsumer<Assignment>>,
    assigned: Arc<AtomicBool>,
}

impl Group {
    pub(super) fn join(config: &KafkaConfig, group: &str, topics: &[String], lag: Lag) -> KafkaResult<Self> {
        let assigned = Arc::new(AtomicBool::new(false));
        let consumer: StreamConsumer<Assignment> = config
            .client(group)
            .set("group.id", config.named(group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", config.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (config.session_timeout_ms / 10).to_string())
            // a record should not wait for company
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", config.statistics_interval_ms.to_string())
            .create_with_context(Assignment { assigned: Arc::clone(&assigned), lag })?;
        consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { consumer: Arc::new(consumer), assigned })
    }

    /// Whether partitions are assigned. Apart from the consumer, which closes when its last owner is gone.
    pub(super) fn assigned(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.assigned)
    }

    pub(super) fn stream(&self) -> MessageStream<'_, Assignment> {
        self.consumer.stream()
    }

    /// Commits and waits for the broker. A failure (a rebalance, an outage) is no loss: the records come again, and their
    /// effects are recognised.
    pub(super) async fn commit(&self, offsets: Offsets) {
        let Some(list) = list(&offsets) else { return };
        let consumer = Arc::clone(&self.consumer);
        if let Ok(Err(error)) = spawn_blocking(move || consumer.commit(&list, CommitMode::Sync)).await {
            tracing::warn!(%error, "offsets were not committed: the records will come again");
        }
    }

    /// Reads again from the given offsets on. False where that did not work out for a partition that is still ours: what
    /// comes next from it must not be committed, since that would pass over the records to be read again.
    pub(super) async fn rewind(&self, offsets: &Offsets) -> bool {
        let Some(list) = list(offsets) else { return true };
        let consumer = Arc::clone(&self.consumer);
        let sought = spawn_blocking(move || {
            let sought = consumer.seek_partitions(list, SEEK_TIMEOUT)?;
            let ours = consumer.assignment()?;
            let mut of_ours = sought.elements().into_iter().filter(|at| ours.find_partition(at.topic(), at.partition()).is_some());
            of_ours.try_for_each(|at| at.error())
        });
        match sought.await {
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not go back yet");
                false
            }
            Ok(Ok(())) => true,
            // the end of the runtime
            Err(_) => false,
        }
    }

    /// Gives the partitions to the others at once, instead of after the session timeout.
    pub(super) async fn leave(self) {
        let Self { consumer, assigned } = self;
        assigned.store(false, Ordering::Release);
        // closing, which tells the broker, is part of the drop and waits for its answer; the thread does not panic
        let _ = spawn_blocking(move || drop(consumer)).await;
    }
}

fn list(offsets: &Offsets) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).ok()?;
    }
    (list.count() > 0).then_some(list)
}
