//! The broker's books: what is in a topic, and how far a group has come. Asked of the broker, not of the group.

use std::time::{Duration, Instant};

use ::kafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaResult,
    metadata::MetadataTopic,
};
use anyhow::{Context as _, Result, bail};
use tokio::task::block_in_place;

/// How long the broker may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may answer with errors: a coordinator that is being chosen, a group whose last member is leaving.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks.
const POLL: Duration = Duration::from_millis(5);

/// The books, from the point of view of one group, of which this is no member.
pub(super) struct Books {
    brokers: String,
    group: &'static str,
    consumer: BaseConsumer,
}

impl Books {
    pub(super) fn open(brokers: String, group: &'static str) -> Result<Self> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &brokers).set("group.id", group).set("enable.auto.commit", "false");
        Ok(Self { consumer: client.create()?, brokers, group })
    }

    /// How many records were ever written to a topic.
    pub(super) async fn written(&self, topic: &str) -> Result<i64> {
        Ok(sum(&self.ask(|books| books.ends(topic)).await?))
    }

    /// How many partitions a topic has.
    pub(super) async fn partitions(&self, topic: &str) -> Result<i32> {
        let list = self.ask(|books| books.ends(topic)).await?;
        Ok(i32::try_from(list.count())?)
    }

    /// How many records of a topic the group has committed.
    pub(super) async fn committed(&self, topic: &str) -> Result<i64> {
        self.ask(|books| {
            let partitions = books.partitions_of(topic)?;
            Ok(sum(&books.consumer.committed_offsets(partitions, ANSWER)?))
        })
        .await
    }

    /// Lets the group, which has no member, begin at the end of topics.
    pub(super) async fn pass_over(&self, topics: &[&str]) -> Result<()> {
        for topic in topics {
            self.ask(|books| books.consumer.commit(&books.ends(topic)?, CommitMode::Sync)).await?;
        }
        Ok(())
    }

    /// Waits until the broker has handed the partitions out to the group's members.
    pub(super) async fn assigned(&self) -> Result<()> {
        let began = Instant::now();
        let stable = |books: &Self| {
            let list = books.consumer.fetch_group_list(Some(books.group), ANSWER)?;
            Ok(list.groups().iter().any(|group| group.state() == "Stable" && !group.members().is_empty()))
        };
        while !self.ask(stable).await? {
            if began.elapsed() > PATIENCE {
                bail!("nobody reads as the group {} for {} s", self.group, PATIENCE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Makes a topic.
    pub(super) async fn create(&self, topic: &str, partitions: i32) -> Result<()> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let made = self.admin()?.create_topics([&new], &options()).await?;
        made.into_iter().collect::<Result<Vec<_>, _>>().map_err(|(topic, code)| anyhow::anyhow!("{topic} cannot be made: {code}"))?;
        Ok(())
    }

    /// Deletes a topic: what a run has written is not to fill the disk.
    pub(super) async fn delete(&self, topic: &str) -> Result<()> {
        self.admin()?.delete_topics(&[topic], &options()).await?;
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?)
    }

    fn ends(&self, topic: &str) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for at in self.partitions_of(topic)?.elements() {
            let (_, end) = self.consumer.fetch_watermarks(topic, at.partition(), ANSWER)?;
            list.add_partition_offset(topic, at.partition(), Offset::Offset(end))?;
        }
        Ok(list)
    }

    fn partitions_of(&self, topic: &str) -> KafkaResult<TopicPartitionList> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER)?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            list.add_partition(topic, partition.id());
        }
        Ok(list)
    }

    async fn ask<T>(&self, question: impl Fn(&Self) -> KafkaResult<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            match block_in_place(|| question(self)) {
                Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(POLL).await,
                answer => return answer.with_context(|| format!("asking the broker about the group {}", self.group)),
            }
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
}

/// A partition of which nothing was committed counts from 0.
fn sum(list: &TopicPartitionList) -> i64 {
    list.elements().iter().map(|at| at.offset().to_raw().unwrap_or_default().max(0)).sum()
}
