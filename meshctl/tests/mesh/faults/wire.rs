//! Topics as they are on the broker, read and written past the services.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
    metadata::MetadataPartition,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::running::Mesh;

const ANSWER: Duration = Duration::from_secs(10);
/// Until every record is acknowledged.
const SENT: Duration = Duration::from_mins(2);

/// Which topics a group reads.
pub(crate) const GROUPS: [(&str, &[&str]); 3] = [
    ("dispatch", &["orders.created", "orders.updated", "orders.cancelled"]),
    ("analytics", &["analytics", "user-events"]),
    ("notification", &["notifications"]),
];

/// What is compared of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Event {
    pub(crate) event_id: Uuid,
    pub(crate) aggregate_id: Uuid,
    pub(crate) aggregate_version: i64,
    pub(crate) event_type: String,
    pub(crate) data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Data {
    #[serde(default)]
    pub(crate) change: Option<String>,
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Seen {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        let headers = message.headers().map(|headers| headers.iter().map(|one| (one.key.to_owned(), text(one.value))).collect());
        Self {
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    pub(crate) fn event(&self) -> Event {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.payload)))
    }
}

/// A topic whose records are all events.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Duplicates among them.
    pub(crate) records: usize,
    /// Each event where it was seen first, in the order of the partitions.
    pub(crate) events: Vec<Event>,
}

impl Told {
    pub(crate) fn duplicates(&self) -> usize {
        self.records - self.events.len()
    }

    /// About whom, without repetitions.
    pub(crate) fn aggregates(&self) -> BTreeSet<String> {
        self.events.iter().map(|event| event.aggregate_id.to_string()).collect()
    }

    /// Events that stand after a later one of the same aggregate, among those that `of` chooses.
    pub(crate) fn misplaced(&self, of: impl Fn(&Event) -> bool) -> usize {
        let mut last = BTreeMap::<Uuid, i64>::new();
        let late = |event: &&Event| {
            let before = last.insert(event.aggregate_id, event.aggregate_version);
            before.is_some_and(|before| before >= event.aggregate_version)
        };
        self.events.iter().filter(|event| of(event)).filter(late).count()
    }
}

/// The broker of a mesh.
pub(crate) struct Wire(ClientConfig);

impl Wire {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", mesh.endpoint("kafka")).set("client.id", "proof");
        Self(client)
    }

    fn consumer(&self, group: &str) -> KafkaResult<BaseConsumer> {
        let mut client = self.0.clone();
        client.set("group.id", group).set("enable.auto.commit", "false").set("enable.partition.eof", "true").create()
    }

    fn partitions(consumer: &BaseConsumer, topic: &str) -> KafkaResult<Vec<i32>> {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions: Vec<i32> = found.map(|topic| topic.partitions().iter().map(MetadataPartition::id).collect()).unwrap_or_default();
        if partitions.is_empty() { Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) } else { Ok(partitions) }
    }

    /// Records of all topics that a group reads and has not committed.
    pub(crate) fn lag(&self, group: &str) -> KafkaResult<i64> {
        let topics = GROUPS.iter().find(|(name, _)| *name == group).unwrap().1;
        let (consumer, mut list) = (self.consumer(group)?, TopicPartitionList::new());
        for topic in topics {
            for partition in Self::partitions(&consumer, topic)? {
                list.add_partition(topic, partition);
            }
        }
        let mut lag = 0;
        for at in consumer.committed_offsets(list, ANSWER)?.elements() {
            let (low, high) = consumer.fetch_watermarks(at.topic(), at.partition(), ANSWER)?;
            lag += high - at.offset().to_raw().unwrap_or_default().max(low);
        }
        Ok(lag)
    }

    /// Records that a topic has.
    pub(crate) fn count(&self, topic: &str) -> i64 {
        let consumer = self.consumer("proof").unwrap();
        let held = |partition| consumer.fetch_watermarks(topic, partition, ANSWER).map(|(low, high)| high - low);
        Self::partitions(&consumer, topic).unwrap().into_iter().map(|partition| held(partition).unwrap()).sum()
    }

    /// Hands over every record of a topic on which nobody writes now.
    pub(crate) fn each(&self, topic: &str, mut take: impl FnMut(Seen)) {
        let consumer = self.consumer("proof").unwrap();
        let mut open: BTreeSet<i32> = Self::partitions(&consumer, topic).unwrap().into_iter().collect();
        let mut list = TopicPartitionList::new();
        for partition in &open {
            list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        while !open.is_empty() {
            match consumer.poll(SENT) {
                Some(Ok(message)) => take(Seen::of(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                // librdkafka goes on by itself
                Some(Err(_)) => {}
                None => panic!("{topic} cannot be read to its end"),
            }
        }
    }

    /// The events of a topic, each once.
    pub(crate) fn told(&self, topic: &str) -> Told {
        let (mut told, mut known) = (Told::default(), BTreeSet::new());
        self.each(topic, |seen| {
            let event = seen.event();
            told.records += 1;
            if known.insert(event.event_id) {
                told.events.push(event);
            }
        });
        told
    }

    /// Sends records, as durably as services do, and waits until the broker has all of them.
    pub(crate) fn send(&self, topic: &str, records: impl Iterator<Item = (Option<String>, Vec<u8>)>) {
        let mut client = self.0.clone();
        client.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "20").set("queue.buffering.max.messages", "200000");
        let producer: ThreadedProducer<DefaultProducerContext> = client.create().unwrap();
        let (before, mut sent) = (self.count(topic), 0);
        for (key, value) in records {
            let record = BaseRecord::<str, [u8]>::to(topic).payload(&value);
            let record = if let Some(key) = &key { record.key(key) } else { record };
            producer.send(record).unwrap_or_else(|(error, _)| panic!("{topic}: {error}"));
            sent += 1;
        }
        producer.flush(SENT).unwrap();
        assert_eq!(self.count(topic) - before, sent, "{topic} has what was sent");
    }
}
