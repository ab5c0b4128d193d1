//! The one consumer loop: decode, handle, repeat with backoff, dead letter, commit.
//!
//! Each partition is worked on by itself, so that one that is slow or waits holds up no other. Its records are handled key by
//! key: those of one key in order, different keys at the same time. An offset is committed when everything before it has
//! succeeded or lies in the dead letter topic, and never otherwise.

mod attempt;
mod group;
mod lanes;
mod ledger;
mod metrics;
mod partition;
mod progress;
mod record;
mod settings;
mod worker;

use std::{sync::Arc, time::Duration};

use chassis::{Process, StartError};
use futures::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{kafka::KafkaConfig, producer::Producer};
use attempt::Attempts;
use group::{Group, Open};
use metrics::{Lag, Tally};
use progress::Progress;
pub use record::{HandleError, Handled, Record};
use worker::{Limits, Worker};

/// How long what is being handled may go on after a stop, or when its partition is given away.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a stop may take in all, a broker that does not answer included.
const LEAVE: Duration = Duration::from_secs(10);

/// What a service does with a record.
pub trait Handler: Send + Sync + 'static {
    /// Has the record's effect, exactly once however often it is called. May be dropped before it has ended.
    fn handle(&self, record: &Record) -> impl Future<Output = Result<Handled, HandleError>> + Send;
}

/// Reads `topics` as the consumer group `group` until the process stops.
///
/// # Errors
/// Where librdkafka refuses the settings, or another process has come as the same static member.
pub async fn run<H: Handler>(
    config: &KafkaConfig,
    group: &'static str,
    topics: &[&str],
    handler: H,
    process: &Process,
) -> Result<(), StartError> {
    let topics: Vec<String> = topics.iter().map(|topic| config.named(topic)).collect();
    let producer = Producer::new(config, &format!("{group}-dlq"))?;
    let (lag, tally) = (Lag::register(process, group), Tally::register(process, group, &topics));
    let attempts = Arc::new(Attempts::new(config, group, tally, handler, producer.clone(), process.scenarios.clone()));
    // whoever drops this future lets go of everything, and commits nothing
    let abandoned = CancellationToken::new();
    let _abandon = abandoned.clone().drop_guard();
    let member = Group::join(config, group, &topics, lag.clone(), open(config, attempts), &abandoned)?;
    let limit = Duration::from_millis(config.stuck_after_ms);
    let progress = Progress { assigned: member.assigned(), lag, limit };
    process.readiness.require("kafka", move || std::future::ready(progress.check()));
    process.readiness.complete();
    let ended = member.start(process.shutdown.clone())?;
    let result = tokio::select! {
        ended = ended => ended?,
        () = overdue(process) => {
            tracing::warn!("kafka does not answer: leaving without a word, the group learns of it by the session timeout");
            Ok(())
        }
    };
    producer.flush(DRAIN).await;
    Ok(result?)
}

async fn overdue(process: &Process) {
    process.shutdown.cancelled().await;
    sleep(LEAVE).await;
}

/// Begins the work on each partition that comes.
fn open<H: Handler>(config: &KafkaConfig, attempts: Arc<Attempts<H>>) -> Open {
    let limits = Limits { window: config.batch_size, concurrency: config.concurrency };
    Box::new(move |partition, queue| Worker::new(partition, queue, Arc::clone(&attempts), limits).run().boxed())
}
