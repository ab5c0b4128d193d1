//! Making the topics that are missing. What is there stays as it is.

use std::time::Duration;

use ::kafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::OwnedHeaders,
    types::RDKafkaErrorCode,
};
use tokio::time::{Instant, sleep};

use super::{Cleanup, Difference, PROBE, Replication, TOPICS, Topic, TopicError, drift};
use crate::{
    kafka::KafkaConfig,
    producer::{Producer, SendError},
};

/// How long the broker may take for one request.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

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
    make(config, &Replication::default(), Instant::now() + limit, limit).await
}

/// [`ensure`] with the given replication, and then all differences that there are: nothing that exists is changed.
///
/// # Errors
/// See [`ensure`].
pub async fn apply(config: &KafkaConfig, replication: &Replication, limit: Duration) -> Result<Vec<Difference>, TopicError> {
    let deadline = Instant::now() + limit;
    make(config, replication, deadline, limit).await?;
    loop {
        let differences = drift(config, replication).await?;
        // a broker answers before its metadata tell of the new topic
        if Instant::now() >= deadline || !differences.iter().any(Difference::is_missing) {
            return Ok(differences);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn make(config: &KafkaConfig, replication: &Replication, deadline: Instant, limit: Duration) -> Result<(), TopicError> {
    let config = KafkaConfig { delivery_timeout_ms: 2_000, linger_ms: 0, ..config.clone() };
    let admin: AdminClient<DefaultClientContext> = config.client("topics").create()?;
    let not_ready = |reason: String| TopicError::NotReady { brokers: config.brokers.clone(), seconds: limit.as_secs(), reason };
    while let Err(error) = create(&admin, &config, replication).await {
        if !error.may_pass() {
            return Err(error);
        }
        if Instant::now() >= deadline {
            return Err(not_ready(error.to_string()));
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

async fn create(admin: &AdminClient<DefaultClientContext>, config: &KafkaConfig, replication: &Replication) -> Result<(), TopicError> {
    let probe = Topic { cleanup: Cleanup::Delete(Duration::from_hours(1)), ..Topic::of_events(PROBE, 1) };
    let wanted: Vec<_> =
        TOPICS.iter().chain([&probe]).map(|topic| (config.named(topic.name), topic.partitions, topic.settings())).collect();
    let minimum = replication.setting();
    let topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(replication.replication_factor));
            settings.iter().chain(&minimum).fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
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
