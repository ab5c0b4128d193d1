//! The topics of the mesh, declared once, and the job that makes them so.

use std::time::Duration;

use ::kafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::time::{Instant, sleep};

use crate::{
    kafka::KafkaConfig,
    producer::{MAX_MESSAGE_BYTES, Producer, SendError},
};
use ::kafka::message::OwnedHeaders;

/// A topic as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Name without suffix.
    pub name: &'static str,
    /// Partitions.
    pub partitions: i32,
    /// `retention.ms`
    pub retention: Duration,
}

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Where dead letters go.
pub const DLQ: &str = "dlq";

/// A record that nobody reads is written here to see whether the broker acknowledges.
const PROBE: &str = "readiness-probe";

/// Every topic of the mesh.
pub const TOPICS: [Topic; 7] = [
    Topic { name: "orders.created", partitions: 5, retention: WEEK },
    Topic { name: "orders.updated", partitions: 5, retention: WEEK },
    Topic { name: "orders.cancelled", partitions: 5, retention: WEEK },
    Topic { name: "user-events", partitions: 3, retention: WEEK },
    Topic { name: "analytics", partitions: 3, retention: WEEK },
    Topic { name: "notifications", partitions: 1, retention: WEEK },
    // a dead letter waits for a person
    Topic { name: DLQ, partitions: 1, retention: Duration::from_hours(30 * 24) },
];

/// Why the topics are not there.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The client could not be made, or the broker refused.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The broker refused one topic.
    #[error("topic {topic}: {code}")]
    Refused {
        /// Which.
        topic: String,
        /// Why.
        code: RDKafkaErrorCode,
    },
    /// No acknowledgement within the time.
    #[error("kafka at {brokers} did not become ready within {seconds} s: {reason}")]
    NotReady {
        /// Where.
        brokers: String,
        /// How long was waited.
        seconds: u64,
        /// What was seen last.
        reason: String,
    },
}

/// Makes the declared topics where they are missing, and returns when the broker has acknowledged a first idempotent
/// record: listed in the metadata is not ready yet. Repeating it is safe.
///
/// # Errors
/// [`TopicError`]; `NotReady` after `limit`.
pub async fn ensure(brokers: &str, limit: Duration) -> Result<(), TopicError> {
    ensure_with(&KafkaConfig { brokers: brokers.into(), ..KafkaConfig::default() }, limit).await
}

/// [`ensure`] with all settings, the topics' suffix included.
///
/// # Errors
/// See [`ensure`].
pub async fn ensure_with(config: &KafkaConfig, limit: Duration) -> Result<(), TopicError> {
    let deadline = Instant::now() + limit;
    let config = KafkaConfig { delivery_timeout_ms: 2_000, linger_ms: 0, ..config.clone() };
    let admin: AdminClient<DefaultClientContext> = config.client("topics").create()?;
    let not_ready = |reason: String| TopicError::NotReady { brokers: config.brokers.clone(), seconds: limit.as_secs(), reason };
    loop {
        let reason = match create(&admin, &config).await {
            Ok(()) => break,
            Err(error @ TopicError::Refused { .. }) => return Err(error),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(not_ready(reason));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let producer = Producer::new(&config, "topics")?;
    while let Err(error) = probe(&producer).await {
        if Instant::now() >= deadline {
            return Err(not_ready(error.to_string()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn create(admin: &AdminClient<DefaultClientContext>, config: &KafkaConfig) -> Result<(), TopicError> {
    let probe = Topic { name: PROBE, partitions: 1, retention: Duration::from_hours(1) };
    let wanted: Vec<(String, i32, String)> = TOPICS
        .iter()
        .chain([&probe])
        .map(|topic| (config.named(topic.name), topic.partitions, topic.retention.as_millis().to_string()))
        .collect();
    let (dead_letters, largest) = (config.named(DLQ), MAX_MESSAGE_BYTES.to_string());
    let topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|(name, partitions, retention)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(-1))
                .set("retention.ms", retention)
                .set("cleanup.policy", "delete");
            // the largest record of any topic, and what is written beside it
            if *name == dead_letters { topic.set("max.message.bytes", &largest) } else { topic }
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5))).operation_timeout(Some(Duration::from_secs(5)));
    for result in admin.create_topics(&topics, &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Refused { topic, code }),
        }
    }
    Ok(())
}

async fn probe(producer: &Producer) -> Result<(), SendError> {
    producer.send_raw(PROBE, "probe", b"", OwnedHeaders::new()).await
}
