//! Where the topics of a broker differ from their declaration. Reported and never mended: a partition more gives keys other
//! partitions, and a shorter retention deletes records.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use ::kafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use chassis::spawn_blocking;
use serde::Serialize;

use super::{Replication, TOPICS, Topic, TopicError, create::ANSWER};
use crate::kafka::KafkaConfig;

/// A topic that is not there has this where others have a setting.
const EXISTENCE: &str = "topic";

/// One thing that is not as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Name, with suffix.
    pub topic: String,
    /// `topic` where it is missing; else `partitions`, `replication.factor`, or a setting by its name in Kafka.
    pub setting: &'static str,
    /// As it should be.
    pub declared: String,
    /// As it is.
    pub found: String,
}

impl Difference {
    /// True where the whole topic is not there.
    pub fn is_missing(&self) -> bool {
        self.setting == EXISTENCE
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, setting, declared, found } = self;
        if self.is_missing() {
            return write!(formatter, "{topic} is missing");
        }
        write!(formatter, "{topic}: {setting} is {found}, declared is {declared}")
    }
}

/// A declared topic beside what the broker has.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Name, with suffix.
    pub name: String,
    /// As it should be.
    pub declared: Topic,
    /// As it is; none where it is missing.
    pub found: Option<Found>,
    /// What is not as declared.
    pub differences: Vec<Difference>,
}

/// A topic as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Partitions.
    pub partitions: usize,
    /// How often partitions are kept: one number where all are alike.
    pub replicas: BTreeSet<usize>,
    /// Settings by their names, defaults included.
    pub settings: BTreeMap<String, String>,
}

impl Found {
    /// `retention.ms`; none where it is forever, or unknown.
    pub fn retention(&self) -> Option<Duration> {
        self.settings.get("retention.ms")?.parse().ok().map(Duration::from_millis)
    }

    /// `cleanup.policy`
    pub fn cleanup(&self) -> &str {
        self.settings.get("cleanup.policy").map_or("?", String::as_str)
    }
}

/// All differences of all topics.
///
/// # Errors
/// Where the broker does not answer.
pub async fn drift(config: &KafkaConfig, replication: &Replication) -> Result<Vec<Difference>, TopicError> {
    Ok(inspect(config, replication).await?.into_iter().flat_map(|topic| topic.differences).collect())
}

/// Every declared topic and what the broker has for it.
///
/// # Errors
/// Where the broker does not answer.
pub async fn inspect(config: &KafkaConfig, replication: &Replication) -> Result<Vec<Inspected>, TopicError> {
    let mut found = shapes(config).await?;
    settings(config, &mut found).await?;
    let inspected = TOPICS.iter().map(|declared| {
        let name = config.named(declared.name);
        let found = found.remove(&name);
        Inspected { differences: differences(&name, declared, replication, found.as_ref()), declared: *declared, found, name }
    });
    Ok(inspected.collect())
}

/// Partitions and replicas of the declared topics that are there. All topics are asked for: a question about one by name makes it,
/// where the broker is one that does so.
async fn shapes(config: &KafkaConfig) -> Result<BTreeMap<String, Found>, TopicError> {
    let client: BaseConsumer = config.client("topics").create()?;
    let asked = spawn_blocking(move || client.fetch_metadata(None, ANSWER)).await;
    let metadata = asked.map_err(|_| KafkaError::Canceled)??;
    let declared: BTreeSet<String> = TOPICS.iter().map(|topic| config.named(topic.name)).collect();
    let there = metadata.topics().iter().filter(|topic| topic.error().is_none() && declared.contains(topic.name()));
    let shape = |topic: &::kafka::metadata::MetadataTopic| Found {
        partitions: topic.partitions().len(),
        replicas: topic.partitions().iter().map(|partition| partition.replicas().len()).collect(),
        settings: BTreeMap::new(),
    };
    Ok(there.map(|topic| (topic.name().to_owned(), shape(topic))).collect())
}

/// Adds the settings of the topics that were found.
async fn settings(config: &KafkaConfig, found: &mut BTreeMap<String, Found>) -> Result<(), TopicError> {
    let names: Vec<String> = found.keys().cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    let asked: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let admin: AdminClient<DefaultClientContext> = config.client("topics").create()?;
    for answer in admin.describe_configs(&asked, &AdminOptions::new().request_timeout(Some(ANSWER))).await? {
        let ConfigResource { specifier, entries } = answer.map_err(KafkaError::AdminOp)?;
        let OwnedResourceSpecifier::Topic(name) = specifier else { continue };
        if let Some(topic) = found.get_mut(&name) {
            topic.settings.extend(entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
        }
    }
    Ok(())
}

fn differences(name: &str, declared: &Topic, replication: &Replication, found: Option<&Found>) -> Vec<Difference> {
    let difference = |setting, declared: String, found: String| Difference { topic: name.to_owned(), setting, declared, found };
    let Some(found) = found else { return vec![difference(EXISTENCE, "there".into(), "missing".into())] };
    let wanted = declared.settings().into_iter().chain(replication.setting());
    let factor = (replication.replication_factor > 0).then(|| ("replication.factor", replication.replication_factor.to_string()));
    let shape = [("partitions", declared.partitions.to_string())].into_iter().chain(factor);
    let value = |setting: &str| match setting {
        "partitions" => found.partitions.to_string(),
        "replication.factor" => found.replicas.iter().map(usize::to_string).collect::<Vec<_>>().join(" and "),
        setting => found.settings.get(setting).cloned().unwrap_or_else(|| "unknown".into()),
    };
    shape
        .chain(wanted)
        .filter(|(setting, declared)| value(setting) != *declared)
        .map(|(setting, declared)| difference(setting, declared, value(setting)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(topic: &Topic) -> Found {
        let settings = topic.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Found { partitions: usize::try_from(topic.partitions).unwrap(), replicas: BTreeSet::from([3]), settings }
    }

    fn replicated(replication_factor: i32, min_insync_replicas: i32) -> Replication {
        Replication { replication_factor, min_insync_replicas }
    }

    #[test]
    fn a_topic_as_declared_does_not_differ_and_what_is_left_to_the_broker_never_does() {
        for topic in &TOPICS {
            assert_eq!(differences("t", topic, &Replication::default(), Some(&found(topic))), []);
        }
    }

    #[test]
    fn all_differences_of_a_topic_are_told_and_not_the_first_alone() {
        let topic = &TOPICS[0];
        let mut other = found(topic);
        other.partitions = 6;
        other.replicas = BTreeSet::from([1, 3]);
        for (name, value) in
            [("retention.ms", "1"), ("cleanup.policy", "compact"), ("max.message.bytes", "5"), ("min.insync.replicas", "1")]
        {
            other.settings.insert(name.to_owned(), value.to_owned());
        }
        let told: Vec<String> = differences("t", topic, &replicated(3, 2), Some(&other)).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "t: partitions is 6, declared is 5",
                "t: replication.factor is 1 and 3, declared is 3",
                "t: retention.ms is 1, declared is 604800000",
                "t: cleanup.policy is compact, declared is delete",
                "t: max.message.bytes is 5, declared is 1048588",
                "t: min.insync.replicas is 1, declared is 2",
            ]
        );
        assert_eq!(differences("t", topic, &replicated(3, 2), None)[0].to_string(), "t is missing");
    }
}
