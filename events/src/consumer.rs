//! The one consumer loop: decode, handle, repeat with backoff, dead letter, commit.
//!
//! A batch is handled key by key: records of one key in order, different keys at the same time. An offset is committed
//! when everything before it has succeeded or lies in the dead letter topic, and never otherwise.

mod attempt;
mod batch;
mod group;
mod metrics;
mod record;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ::kafka::error::KafkaError;
use chassis::{Process, StartError, spawn};
use futures::{FutureExt, StreamExt};
use tokio::time::sleep;

use crate::{kafka::KafkaConfig, producer::Producer};
use attempt::Attempts;
use batch::Batch;
use group::Group;
use metrics::{Lag, Tally};
pub use record::{HandleError, Handled, Record};

/// How long a batch may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after something was unavailable; grows to the second value while it stays so.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What a service does with a record.
pub trait Handler: Send + Sync + 'static {
    /// Has the record's effect, exactly once however often it is called.
    fn handle(&self, record: &Record) -> impl Future<Output = Result<Handled, HandleError>> + Send;
}

/// Reads `topics` as the consumer group `group` until the process stops.
///
/// # Errors
/// Where librdkafka refuses the settings.
pub async fn run<H: Handler>(
    config: &KafkaConfig,
    group: &'static str,
    topics: &[&str],
    handler: H,
    process: &Process,
) -> Result<(), StartError> {
    let topics: Vec<String> = topics.iter().map(|topic| config.named(topic)).collect();
    let consumer = Group::join(config, group, &topics, Lag::register(process, group))?;
    let assigned = consumer.assigned();
    process.readiness.require("kafka", move || {
        let assigned = assigned.load(Ordering::Acquire);
        async move { if assigned { Ok(()) } else { Err("no partition is assigned".into()) } }
    });
    process.readiness.complete();
    let producer = Producer::new(config, &format!("{group}-dlq"))?;
    let tally = Tally::register(process, group, &topics);
    let attempts = Arc::new(Attempts::new(config, group, tally, handler, producer.clone(), process.shutdown.clone()));
    let mut pause = PAUSE.0;
    while let Some(batch) = next_batch(&consumer, config, process).await {
        let batch = Arc::new(batch);
        let mut work = spawn(handle_batch(Arc::clone(&batch), Arc::clone(&attempts), config.concurrency));
        tokio::select! {
            _ = &mut work => {}
            () = overdue(process) => work.abort(),
        }
        consumer.commit(batch.finished()).await;
        let Some(rest) = batch.unfinished() else {
            pause = PAUSE.0;
            continue;
        };
        // going back comes before anything else is read
        while !process.shutdown.is_cancelled() {
            let back = consumer.rewind(&rest).await;
            tokio::select! {
                () = sleep(pause) => {}
                () = process.shutdown.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE.1);
            if back {
                break;
            }
        }
    }
    consumer.leave().await;
    producer.flush(DRAIN).await;
    Ok(())
}

async fn overdue(process: &Process) {
    process.shutdown.cancelled().await;
    sleep(DRAIN).await;
}

/// Waits for a record and takes those that have come with it; none when the process stops.
async fn next_batch(consumer: &Group, config: &KafkaConfig, process: &Process) -> Option<Batch> {
    let mut stream = consumer.stream();
    let mut records = Vec::new();
    while records.is_empty() {
        let first = tokio::select! {
            biased;
            () = process.shutdown.cancelled() => return None,
            first = stream.next() => first?,
        };
        records.extend(accept(first));
    }
    while records.len() < config.batch_size
        && let Some(Some(next)) = stream.next().now_or_never()
    {
        records.extend(accept(next));
    }
    Some(Batch::new(records))
}

fn accept(message: Result<::kafka::message::BorrowedMessage<'_>, KafkaError>) -> Option<Record> {
    match message {
        Ok(message) => Some(Record::from(message.detach())),
        Err(error) => {
            // librdkafka goes on by itself; readiness tells of a broker that stays away
            tracing::debug!(%error, "reading from kafka");
            None
        }
    }
}

async fn handle_batch<H: Handler>(batch: Arc<Batch>, attempts: Arc<Attempts<H>>, concurrency: usize) {
    futures::stream::iter(batch.lanes())
        .for_each_concurrent(concurrency, |lane| {
            let (batch, attempts) = (&batch, &attempts);
            async move {
                for index in lane {
                    if !attempts.process(batch.record(index)).await {
                        break;
                    }
                    batch.finish(index);
                }
            }
        })
        .await;
}
