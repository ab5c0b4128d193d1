//! For tests only: topics of one's own on a broker that others use too, gone when the test is. Nothing here returns an
//! error: a test that has no broker panics and says why.
#![allow(clippy::panic, clippy::expect_used, reason = "called from tests, where a panic is the report")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ::kafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::TopicPartitionListElem,
};
use chassis::spawn_blocking;
use tokio::time::{error::Elapsed, sleep, timeout};
use uuid::Uuid;

use crate::{
    consumer::Record,
    kafka::KafkaConfig,
    topics::{TOPICS, ensure_with},
};

/// The environment variable with the `HOST:PORT` of a broker that is there for tests.
pub const BROKER_KEY: &str = "THROUGHLINE_TEST_KAFKA";

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(10);

/// The mesh's topics under names of their own. Dropping it deletes them.
pub struct TestTopics {
    config: KafkaConfig,
    producer: FutureProducer,
}

impl TestTopics {
    /// All of [`TOPICS`], empty.
    ///
    /// # Panics
    /// When [`BROKER_KEY`] is not set or its broker does not do what it is asked to.
    pub async fn create() -> Self {
        let Ok(brokers) = std::env::var(BROKER_KEY) else {
            panic!("this test needs a Kafka broker, and {BROKER_KEY} is not set: run ./mesh test, which starts one");
        };
        let config = KafkaConfig { brokers, topic_suffix: format!(".test-{}", Uuid::now_v7().simple()), ..KafkaConfig::default() };
        ensure_with(&config, PATIENCE).await.unwrap_or_else(|error| panic!("no topics for a test: {error} ({BROKER_KEY})"));
        let mut producer = config.client("test");
        producer.set("linger.ms", "0").set("message.max.bytes", "2000000");
        let producer = producer.create().unwrap_or_else(|error| panic!("no producer for a test: {error}"));
        Self { config, producer }
    }

    /// Settings with which services see these topics, and groups of their own.
    pub fn config(&self) -> KafkaConfig {
        self.config.clone()
    }

    /// Sends a record as it is, and waits until it is acknowledged.
    ///
    /// # Panics
    /// Where the broker does not take it.
    pub async fn send(&self, topic: &str, key: &str, payload: impl AsRef<[u8]>, headers: &[(&str, &str)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let topic = self.config.named(topic);
        let record = FutureRecord::to(&topic).key(key).payload(payload.as_ref()).headers(headers);
        self.producer.send(record, PATIENCE).await.unwrap_or_else(|(error, _)| panic!("{topic} did not take a record: {error}"));
    }

    /// [`send`](Self::send) for a record without key or value, or with ones that are no text.
    ///
    /// # Panics
    /// Where the broker does not take it.
    pub async fn send_bytes(&self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>, headers: OwnedHeaders) {
        let topic = self.config.named(topic);
        let record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord { topic: &topic, partition: None, payload: value, key, timestamp: None, headers: Some(headers) };
        self.producer.send(record, PATIENCE).await.unwrap_or_else(|(error, _)| panic!("{topic} did not take a record: {error}"));
    }

    /// Reads a topic from its beginning on, as a member of no group.
    ///
    /// # Panics
    /// For a topic that is not of [`TOPICS`].
    pub fn reader(&self, topic: &str) -> Reader {
        let consumer: StreamConsumer = self.client(&format!("reader-{}", Uuid::now_v7())).create().expect("a consumer");
        let mut all = self.partitions(topic);
        all.set_all_offsets(Offset::Beginning).expect("an offset that is one");
        consumer.assign(&all).expect("an assignment");
        Reader { topic: topic.to_owned(), consumer }
    }

    /// Records that were ever written to a topic.
    ///
    /// # Panics
    /// Where the broker does not answer within [`PATIENCE`].
    pub async fn count(&self, topic: &str) -> i64 {
        self.ask("count", topic, |books| books.count().map(Some)).await
    }

    /// What a group has committed, by partition; 0 where it has committed nothing.
    ///
    /// # Panics
    /// Where the broker does not answer within [`PATIENCE`].
    pub async fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        self.ask(&self.config.named(group), topic, |books| books.committed().map(Some)).await
    }

    /// Waits until a group has committed everything that was ever written to a topic.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn drained(&self, group: &str, topic: &str) {
        let all = |books: &Books| Ok((books.committed()?.values().sum::<i64>() == books.count()?).then_some(()));
        self.ask(&self.config.named(group), topic, all).await;
    }

    /// Asks the broker until it answers, and with what is waited for.
    async fn ask<T, A>(&self, group: &str, topic: &str, question: A) -> T
    where
        T: Send + 'static,
        A: Fn(&Books) -> KafkaResult<Option<T>> + Send + 'static,
    {
        let books = Books { consumer: self.client(group).create().expect("a consumer"), partitions: self.partitions(topic) };
        let (deadline, what) = (Instant::now() + PATIENCE, format!("{group} and {topic}"));
        let asked = spawn_blocking(move || {
            loop {
                // a coordinator that is still being chosen is an error too
                let answer = question(&books);
                if let Ok(Some(answer)) = answer {
                    return answer;
                }
                assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what} ({:?}, {:?})", answer.err(), books.committed());
                std::thread::sleep(POLL);
            }
        });
        asked.await.expect("an answer about records and offsets")
    }

    /// Deletes a topic, so that nothing can be written to it until [`restore`](Self::restore) makes it again.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub async fn delete(&self, topic: &str) {
        delete(&self.config, &[topic]).await.unwrap_or_else(|error| panic!("{topic} cannot be deleted: {error}"));
        // the broker answers before it has ended writing
        let producer: FutureProducer = self.config.client("test").set("message.timeout.ms", "500").create().expect("a producer");
        let name = self.config.named(topic);
        let is_refused = async || producer.send(FutureRecord::to(&name).key("").payload(""), PATIENCE).await.is_err();
        eventually(&format!("{topic} takes nothing any more"), is_refused).await;
    }

    /// Makes the topics that are missing.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub async fn restore(&self) {
        ensure_with(&self.config, PATIENCE).await.unwrap_or_else(|error| panic!("no topics for a test: {error} ({BROKER_KEY})"));
    }

    fn client(&self, group: &str) -> ::kafka::ClientConfig {
        let mut client = self.config.client("test");
        client.set("group.id", group).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "50");
        client
    }

    fn partitions(&self, topic: &str) -> TopicPartitionList {
        let declared = TOPICS.iter().find(|declared| declared.name == topic).unwrap_or_else(|| panic!("{topic} is not declared"));
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.config.named(topic), 0, declared.partitions - 1);
        list
    }
}

impl Drop for TestTopics {
    /// On a thread of its own: the runtime of the test may be one that must not block, or be on its way out.
    fn drop(&mut self) {
        let config = self.config.clone();
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
            let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).chain(["readiness-probe"]).collect();
            runtime.block_on(delete(&config, &topics)).map_err(|error| error.to_string())
        });
        if let Ok(Err(error)) = done.join() {
            eprintln!("topics *{} are left behind: {error}", self.config.topic_suffix);
        }
    }
}

/// What a broker knows of a topic and a group.
struct Books {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Books {
    fn count(&self) -> KafkaResult<i64> {
        let end = |at: &TopicPartitionListElem<'_>| Ok(self.consumer.fetch_watermarks(at.topic(), at.partition(), ANSWER)?.1);
        self.partitions.elements().iter().map(end).sum()
    }

    fn committed(&self) -> KafkaResult<BTreeMap<i32, i64>> {
        let list = self.consumer.committed_offsets(self.partitions.clone(), ANSWER)?;
        Ok(list.elements().iter().map(|at| (at.partition(), at.offset().to_raw().unwrap_or_default().max(0))).collect())
    }
}

async fn delete(config: &KafkaConfig, topics: &[&str]) -> Result<(), KafkaError> {
    let admin: AdminClient<DefaultClientContext> = config.client("test").create()?;
    let names: Vec<String> = topics.iter().map(|topic| config.named(topic)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new().request_timeout(Some(ANSWER))).await.map(drop)
}

/// See [`TestTopics::reader`].
pub struct Reader {
    topic: String,
    consumer: StreamConsumer,
}

impl Reader {
    /// The next record of any partition.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn next(&mut self) -> Record {
        loop {
            match timeout(PATIENCE, self.consumer.recv()).await {
                Ok(Ok(message)) => return Record::from(&message),
                // librdkafka goes on by itself
                Ok(Err(_)) => {}
                Err(Elapsed { .. }) => panic!("no record came to {} within {PATIENCE:?}", self.topic),
            }
        }
    }

    /// The next `count` records.
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn take(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(self.next().await);
        }
        records
    }
}

/// Waits until a condition holds.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            sleep(POLL).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "not within {PATIENCE:?}: {what}");
}
