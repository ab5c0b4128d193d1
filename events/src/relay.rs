//! The relay: publishes what stands in an outbox, in order per aggregate.
//!
//! A relay holds a lease (a session-level advisory lock) on some of the key shards; no two relays publish the same key at
//! the same time. What a relay had on its way when it lost its connection, at most one record of a key, may come late: its
//! successor sends that record too, so that it is a repeat, and nothing is missing before it. A request only wakes it; what
//! a crash leaves behind is found by the next sweep. A row goes when Kafka has acknowledged its record, so that a crash in
//! between repeats the record, with the same event id.

mod metrics;
mod rows;

use db::connection::Connection;
use std::{sync::Arc, time::Duration};

use chassis::{Process, StartError, config::Problems};
use db::pool::Pool;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::sleep};

use crate::{
    consumer::HandleError,
    dlq::{self, Burial},
    kafka::KafkaConfig,
    outbox::SHARDS,
    producer::{Outgoing, Producer, SendError, Sending, event_headers},
};
use metrics::{Depth, Fate, Records};
use rows::Row;

/// The `relay` table of a service's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// Milliseconds between looks for rows that nobody announced: those of a crash, or of another replica.
    pub sweep_interval_ms: u64,
    /// Rows that are on their way at the same time.
    pub batch_size: i64,
    /// Milliseconds between looks at how much stands in the outbox, for the metrics.
    pub depth_interval_ms: u64,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { sweep_interval_ms: 1_000, batch_size: 500, depth_interval_ms: 5_000 }
    }
}

impl RelayConfig {
    /// See [`chassis::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        for (key, value) in [("relay.sweep_interval_ms", self.sweep_interval_ms), ("relay.depth_interval_ms", self.depth_interval_ms)] {
            if !(10..=3_600_000).contains(&value) {
                problems.add(key, &value, "10 to 3600000");
            }
        }
        if !(1..=10_000).contains(&self.batch_size) {
            problems.add("relay.batch_size", &self.batch_size, "1 to 10000");
        }
    }
}

/// How long a stop waits for what is on its way: a process has ten seconds to end.
const DRAIN: Duration = Duration::from_secs(3);

/// Wakes the relay. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayHandle(Arc<Notify>);

impl RelayHandle {
    /// Says that a row was committed. Only a hint, which never waits: a sweep finds the row as well.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Why a round ended early. Each is tried again.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Connect(#[from] db::pool::DatabaseUnavailable),
    #[error("postgres: {0}")]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// See the module.
pub struct Relay {
    config: RelayConfig,
    pool: Pool,
    schema: &'static str,
    producer: Producer,
    process: Process,
    wake: Arc<Notify>,
    records: Records,
}

impl Relay {
    /// Starts publishing `schema`.outbox on the current runtime, until the process stops.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn start(
        config: &RelayConfig,
        kafka: &KafkaConfig,
        pool: Pool,
        schema: &'static str,
        process: &Process,
    ) -> Result<RelayHandle, StartError> {
        let handle = RelayHandle::default();
        let relay = Self {
            config: config.clone(),
            pool,
            schema,
            producer: Producer::new(kafka, &format!("{schema}-relay"))?,
            process: process.clone(),
            wake: Arc::clone(&handle.0),
            records: Records::register(process),
        };
        Depth::watch(Duration::from_millis(config.depth_interval_ms), relay.pool.clone(), schema, process);
        process.background(async move { relay.run().await });
        Ok(handle)
    }

    async fn run(self) {
        let mut failing = false;
        while !self.process.shutdown.is_cancelled() {
            let Err(error) = self.lead(&mut failing).await else { continue };
            // once per change of state: an outage is one line and not one a second
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(%error, schema = self.schema, "the outbox waits");
            }
            tokio::select! {
                () = sleep(Duration::from_millis(self.config.sweep_interval_ms)) => {}
                () = self.process.shutdown.cancelled() => {}
            }
        }
    }

    /// Publishes over one connection, which holds the leases, for as long as that connection and Kafka last.
    async fn lead(&self, failing: &mut bool) -> Result<(), RelayError> {
        let mut connection = self.pool.dedicated().await?;
        let mut leases = Vec::new();
        loop {
            if leases.len() < usize::from(SHARDS.unsigned_abs()) {
                leases.extend(rows::lease(&mut connection, self.schema, &leases).await?);
            }
            while self.publish_batch(&mut connection, &leases).await? {}
            if std::mem::take(failing) {
                tracing::info!(schema = self.schema, "the outbox is published again");
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(Duration::from_millis(self.config.sweep_interval_ms)) => {}
                () = self.process.shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// True where there may be more.
    async fn publish_batch(&self, connection: &mut Connection, leases: &[i16]) -> Result<bool, RelayError> {
        let batch = rows::oldest(connection, self.schema, leases, self.config.batch_size).await?;
        let full = i64::try_from(batch.len()).is_ok_and(|length| length == self.config.batch_size);
        for wave in waves(batch) {
            let (sent, result) = tokio::select! {
                done = self.publish(wave) => done,
                // what is on its way now stays, and goes out again
                () = self.overdue() => return Ok(false),
            };
            rows::delete(connection, self.schema, &sent).await?;
            result?;
        }
        Ok(full && !self.process.shutdown.is_cancelled())
    }

    async fn overdue(&self) {
        self.process.shutdown.cancelled().await;
        sleep(DRAIN).await;
    }

    /// Sends rows of different keys at the same time; returns those which Kafka acknowledged, and the first failure. A row that
    /// Kafka will never take is done with as well when its dead letter is acknowledged.
    async fn publish(&self, wave: Vec<Row>) -> (Vec<i64>, Result<(), SendError>) {
        let mut sends = Vec::with_capacity(wave.len());
        // all are handed over, in order, before any is waited for
        for row in wave {
            let sending = self.hand_over(&row).await;
            sends.push(async move {
                let outcome = match sending {
                    Ok(sending) => sending.acknowledged().await.map(drop),
                    Err(error) => Err(error),
                };
                (row, outcome)
            });
        }
        let mut sent = Vec::with_capacity(sends.len());
        let mut result = Ok(());
        for (row, outcome) in join_all(sends).await {
            let outcome = match outcome {
                Err(error) if error.is_permanent() => self.alone(&row).await,
                outcome => outcome.map(|()| Fate::Published),
            };
            match outcome {
                Ok(fate) => {
                    self.records.count(fate);
                    sent.push(row.id);
                }
                Err(error) => {
                    self.records.count(Fate::Failed);
                    result = result.and(Err(error));
                }
            }
        }
        (sent, result)
    }

    async fn hand_over(&self, row: &Row) -> Result<Sending, SendError> {
        let topic = self.producer.named(&row.topic);
        let headers = event_headers(&row.event_id.to_string());
        let record = Outgoing { topic: &topic, key: Some(row.key.as_bytes()), value: Some(row.payload.as_bytes()), headers };
        self.producer.enqueue(record, &row.trace()).await
    }

    /// Sends a row that was refused once more, with nothing beside it: a broker refuses a batch as a whole. Where it is the row
    /// that it will never take, it goes to the dead letters.
    async fn alone(&self, row: &Row) -> Result<Fate, SendError> {
        let refused = match self.hand_over(row).await {
            Ok(sending) => sending.acknowledged().await.map(drop),
            Err(error) => Err(error),
        };
        match refused {
            Err(error) if error.is_permanent() => self.bury(row, error).await.map(|()| Fate::DeadLettered),
            refused => refused.map(|()| Fate::Published),
        }
    }

    async fn bury(&self, row: &Row, error: SendError) -> Result<(), SendError> {
        let (topic, headers) = (self.producer.named(&row.topic), event_headers(&row.event_id.to_string()));
        let (consumer, error) = (format!("{}-relay", self.schema), HandleError::from(error));
        let burial = Burial {
            topic: &topic,
            position: None,
            timestamp_ms: None,
            key: Some(row.key.as_bytes()),
            value: Some(row.payload.as_bytes()),
            headers: &headers,
            consumer: &consumer,
            error: &error,
            attempts: 2,
        };
        dlq::bury(&self.producer, &row.trace(), &burial).await?;
        tracing::error!(%error, topic, event_id = %row.event_id, "kafka will never take this row: it is a dead letter");
        Ok(())
    }
}

/// Splits a batch so that no wave has a key twice: the second event of an aggregate is sent when the first one is
/// acknowledged, so that a failure can never put it in front.
fn waves(batch: Vec<Row>) -> Vec<Vec<Row>> {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    let mut waves: Vec<Vec<Row>> = Vec::new();
    for row in batch {
        let turn = seen.entry(row.key.clone()).and_modify(|turn| *turn += 1).or_insert(0);
        if waves.len() == *turn {
            waves.push(Vec::new());
        }
        waves[*turn].push(row);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, key: &str) -> Row {
        let text = String::new;
        Row { id, event_id: uuid::Uuid::nil(), topic: text(), key: key.into(), payload: text(), traceparent: None, tracestate: None }
    }

    #[test]
    fn a_key_comes_once_a_wave_and_in_order() {
        let waves = waves(vec![row(1, "a"), row(2, "b"), row(3, "a"), row(4, "a"), row(5, "c")]);
        let ids: Vec<Vec<i64>> = waves.iter().map(|wave| wave.iter().map(|row| row.id).collect()).collect();
        assert_eq!(ids, [vec![1, 2, 5], vec![3], vec![4]]);
    }
}
