//! Following a topic: what is written to it from now on, for any number of listeners in this process. No group: every process
//! gets every record, nothing is committed, and who does not listen misses it.

use std::{sync::Arc, time::Duration};

use ::kafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use chassis::{Process, spawn_blocking};
use futures::StreamExt;
use serde_json::Value;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::{sleep, timeout},
};

use crate::{envelope::Envelope, kafka::KafkaConfig};

/// How long the broker may take to say where a topic ends.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause before another attempt to begin.
const PAUSE: Duration = Duration::from_millis(500);
/// Between looks for partitions that were added.
const REFRESH: Duration = Duration::from_secs(5);

/// An event of whatever kind.
pub type AnyEvent = Arc<Envelope<Value>>;

/// The topic is not followed yet, since the broker does not answer.
#[derive(Debug, thiserror::Error)]
#[error("kafka is unavailable: the topic {0} is not followed yet")]
pub struct TailUnavailable(String);

/// One reader of a topic. Clones share it. It begins when somebody first listens.
#[derive(Debug, Clone)]
pub struct Tail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    topic: String,
    wanted: Notify,
    following: watch::Sender<bool>,
    events: broadcast::Sender<AnyEvent>,
}

impl Tail {
    /// Follows `topic` (a declared name) on the current runtime, until the process stops. A listener may be `capacity` events behind.
    pub fn start(config: &KafkaConfig, client_id: &str, topic: &str, capacity: usize, process: &Process) -> Self {
        let tail = Self(Arc::new(Shared {
            topic: config.named(topic),
            wanted: Notify::new(),
            following: watch::Sender::new(false),
            events: broadcast::Sender::new(capacity),
        }));
        let (shared, shutdown) = (Arc::clone(&tail.0), process.shutdown.clone());
        let (config, client_id) = (config.clone(), client_id.to_owned());
        process.background(async move {
            tokio::select! {
                () = shared.wanted.notified() => {}
                () = shutdown.cancelled() => return,
            }
            let mut reader = None;
            tokio::select! {
                () = shared.follow(&config, &client_id, &mut reader) => {}
                () = shutdown.cancelled() => {}
            }
            // closing waits for librdkafka's threads
            let _ = spawn_blocking(move || drop(reader)).await;
        });
        tail
    }

    /// Events from now on: all that are written after this has returned, and perhaps some from shortly before.
    ///
    /// # Errors
    /// [`TailUnavailable`] where the topic is not followed within `patience`.
    pub async fn listen(&self, patience: Duration) -> Result<broadcast::Receiver<AnyEvent>, TailUnavailable> {
        self.0.wanted.notify_one();
        let mut following = self.0.following.subscribe();
        match timeout(patience, following.wait_for(|following| *following)).await {
            Ok(Ok(_)) => Ok(self.0.events.subscribe()),
            _ => Err(TailUnavailable(self.0.topic.clone())),
        }
    }
}

type Reader = Arc<StreamConsumer>;

impl Shared {
    /// Without end. The consumer is left in `reader`, for whoever ends this.
    async fn follow(&self, config: &KafkaConfig, client_id: &str, reader: &mut Option<Reader>) {
        let mut failing = false;
        let (consumer, partitions) = loop {
            match self.begin(config, client_id, reader).await {
                Ok(begun) => break begun,
                // once: an outage is one line and not two a second
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, topic = self.topic, "the topic cannot be followed yet");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        };
        self.following.send_replace(true);
        tokio::join!(self.read(&consumer), self.take_on(&consumer, partitions));
    }

    /// A consumer that stands at the end of every partition, and how many there are.
    async fn begin(&self, config: &KafkaConfig, client_id: &str, reader: &mut Option<Reader>) -> Result<(Reader, i32), KafkaError> {
        let consumer = match reader {
            Some(consumer) => Arc::clone(consumer),
            None => Arc::clone(reader.insert(Arc::new(client(config, client_id)?))),
        };
        let (topic, asked) = (self.topic.clone(), Arc::clone(&consumer));
        let partitions = blocking(move || {
            let partitions = count(&asked, &topic)?;
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                // the number and not "the end": that would be looked up later, and pass over what is written until then
                let (_, end) = asked.fetch_watermarks(&topic, partition, ANSWER)?;
                list.add_partition_offset(&topic, partition, Offset::Offset(end))?;
            }
            asked.assign(&list)?;
            Ok(partitions)
        });
        Ok((consumer, partitions.await?))
    }

    async fn read(&self, consumer: &Reader) {
        let mut records = consumer.stream();
        while let Some(record) = records.next().await {
            // librdkafka goes on by itself after an error
            let Ok(record) = record else { continue };
            match serde_json::from_slice(record.payload().unwrap_or_default()) {
                // an error means that nobody listens
                Ok(event) => drop(self.events.send(Arc::new(event))),
                Err(error) => tracing::debug!(%error, topic = self.topic, offset = record.offset(), "not an event"),
            }
        }
    }

    /// Partitions that are added are new, so that they are read from their beginning.
    async fn take_on(&self, consumer: &Reader, mut known: i32) {
        loop {
            sleep(REFRESH).await;
            let (topic, asked) = (self.topic.clone(), Arc::clone(consumer));
            let grown = blocking(move || {
                let now = count(&asked, &topic)?;
                if now > known {
                    let mut list = TopicPartitionList::new();
                    for partition in known..now {
                        list.add_partition_offset(&topic, partition, Offset::Beginning)?;
                    }
                    asked.incremental_assign(&list)?;
                }
                Ok(now)
            });
            match grown.await {
                Ok(now) => known = known.max(now),
                Err(error) => tracing::debug!(%error, topic = self.topic, "partitions cannot be counted"),
            }
        }
    }
}

fn client(config: &KafkaConfig, client_id: &str) -> Result<StreamConsumer, KafkaError> {
    config
        .client(client_id)
        // librdkafka wants a name to assign partitions by hand; no group of it ever comes to be
        .set("group.id", config.named(client_id))
        .set("enable.auto.commit", "false")
        // of a topic that was made anew all is new
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100")
        .create()
}

/// Partitions of a topic; at least one.
fn count(consumer: &StreamConsumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let partitions = metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len());
    match i32::try_from(partitions) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, KafkaError> + Send + 'static) -> Result<T, KafkaError> {
    // the runtime is ending
    spawn_blocking(work).await.unwrap_or(Err(KafkaError::Canceled))
}
