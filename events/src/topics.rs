//! The topics of the mesh, declared once, the job that makes them, and how a broker's differ from that.

mod create;
mod drift;
pub mod job;
mod report;

use std::{fmt, time::Duration};

use ::kafka::{error::KafkaError, types::RDKafkaErrorCode};
use chassis::config::Problems;
use serde::{Deserialize, Serialize};

use crate::producer::MAX_MESSAGE_BYTES;

pub use create::{apply, ensure, ensure_with};
pub use drift::{Difference, Found, Inspected, drift, inspect};
pub use report::{Line, Report};

/// A topic as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Name without suffix.
    pub name: &'static str,
    /// Partitions. More of them later would give keys other partitions, and so an aggregate's events another order.
    pub partitions: i32,
    /// What becomes of old records.
    pub cleanup: Cleanup,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
}

/// `cleanup.policy`, and `retention.ms` where it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Records are deleted after this time.
    Delete(Duration),
    /// The last record of each key stays.
    Compact,
}

impl Cleanup {
    /// The value of `cleanup.policy`.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Delete(_) => "delete",
            Self::Compact => "compact",
        }
    }

    /// The value of `retention.ms`, where records are deleted by age.
    pub fn retention(self) -> Option<Duration> {
        match self {
            Self::Delete(after) => Some(after),
            Self::Compact => None,
        }
    }
}

const WEEK: Cleanup = Cleanup::Delete(Duration::from_hours(7 * 24));
const MONTH: Cleanup = Cleanup::Delete(Duration::from_hours(30 * 24));

/// Kafka's own default: 1 MiB and the head of a batch. A dead letter is larger, whose topic takes [`MAX_MESSAGE_BYTES`]: what
/// another topic takes has to fit there, with the headers that are added.
const RECORD_BYTES: u32 = (1 << 20) + 12;

/// Where dead letters go.
pub const DLQ: &str = "dlq";

/// What was done about dead letters: the last word about each.
pub const DLQ_MARKS: &str = "dlq.marks";

/// A record that nobody reads is written here to see whether the broker acknowledges.
pub(crate) const PROBE: &str = "readiness-probe";

/// Every topic of the mesh.
pub const TOPICS: [Topic; 8] = [
    Topic::of_events("orders.created", 5),
    Topic::of_events("orders.updated", 5),
    Topic::of_events("orders.cancelled", 5),
    Topic::of_events("user-events", 3),
    Topic::of_events("analytics", 3),
    Topic::of_events("notifications", 1),
    // a dead letter waits for a person
    Topic { name: DLQ, partitions: 1, cleanup: MONTH, max_message_bytes: MAX_MESSAGE_BYTES },
    Topic { name: DLQ_MARKS, partitions: 1, cleanup: Cleanup::Compact, max_message_bytes: RECORD_BYTES },
];

impl Topic {
    const fn of_events(name: &'static str, partitions: i32) -> Self {
        Self { name, partitions, cleanup: WEEK, max_message_bytes: RECORD_BYTES }
    }

    /// The declared settings by their names in Kafka.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let retention = self.cleanup.retention().map(|after| ("retention.ms", after.as_millis().to_string()));
        let rest = [("cleanup.policy", self.cleanup.policy().to_owned()), ("max.message.bytes", self.max_message_bytes.to_string())];
        retention.into_iter().chain(rest).collect()
    }
}

/// How often the records of every topic are kept. It depends on how many brokers there are, so it is configured and not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replication {
    /// Brokers that keep each record; -1: as many as the brokers do by default, and any number is fine.
    pub replication_factor: i32,
    /// Brokers that must have a record before it counts as acknowledged; -1: as the brokers do by default, and any number is fine.
    pub min_insync_replicas: i32,
}

impl Default for Replication {
    fn default() -> Self {
        Self { replication_factor: -1, min_insync_replicas: -1 }
    }
}

impl Replication {
    /// `min.insync.replicas` by its name in Kafka, where it is not left to the brokers.
    fn setting(&self) -> Option<(&'static str, String)> {
        (self.min_insync_replicas > 0).then(|| ("min.insync.replicas", self.min_insync_replicas.to_string()))
    }

    /// See [`chassis::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        let good = |count: i32| count == -1 || (1..=i32::from(i16::MAX)).contains(&count);
        if !good(self.replication_factor) {
            problems.add("topics.replication_factor", &self.replication_factor, "1 to 32767, or -1: what the brokers do by default");
        }
        if !good(self.min_insync_replicas) {
            problems.add("topics.min_insync_replicas", &self.min_insync_replicas, "1 to 32767, or -1: what the brokers do by default");
        } else if self.replication_factor > 0 && self.min_insync_replicas > self.replication_factor {
            let allowed = "no more than topics.replication_factor, else nothing can be written";
            problems.add("topics.min_insync_replicas", &self.min_insync_replicas, allowed);
        }
    }
}

/// Why the topics are not there, or nothing is known of them.
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

impl TopicError {
    /// True where a cluster that is still starting may say otherwise soon: it has fewer brokers than replicas are wanted.
    fn may_pass(&self) -> bool {
        match self {
            Self::Kafka(_) => true,
            Self::Refused { code, .. } => *code == RDKafkaErrorCode::InvalidReplicationFactor,
            Self::NotReady { .. } => false,
        }
    }
}

/// A time in the largest unit that it is a whole number of.
pub fn spoken(time: Duration) -> impl fmt::Display {
    let ms = time.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let unit = units.into_iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size));
    unit.map_or_else(|| format!("{ms} ms"), |(size, name)| format!("{} {name}", ms / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_topic_takes_fits_into_the_dead_letter_topic_with_many_headers() {
        let dead_letters = TOPICS.iter().find(|topic| topic.name == DLQ).unwrap();
        for topic in TOPICS.iter().filter(|topic| topic.name != DLQ) {
            assert!(topic.max_message_bytes + 512 * 1024 <= dead_letters.max_message_bytes, "{}", topic.name);
        }
    }

    #[test]
    fn what_cannot_be_replicated_so_is_told_with_the_key() {
        let keys = |replication_factor, min_insync_replicas| {
            let mut problems = Problems::default();
            Replication { replication_factor, min_insync_replicas }.check(&mut problems);
            format!("{problems:?}")
        };
        assert!(keys(0, 2).contains("topics.replication_factor") && keys(3, 0).contains("topics.min_insync_replicas"));
        assert!(keys(2, 3).contains("nothing can be written"));
        for (factor, minimum) in [(-1, -1), (3, 2), (3, -1), (-1, 2), (1, 1)] {
            assert_eq!(keys(factor, minimum), format!("{:?}", Problems::default()));
        }
    }

    #[test]
    fn times_are_spoken_in_their_largest_unit() {
        let said = |ms| spoken(Duration::from_millis(ms)).to_string();
        assert_eq!((said(604_800_000), said(3_600_000), said(90_000)), ("7 d".into(), "1 h".into(), "90 s".into()));
        assert_eq!((said(60_000), said(1_500), said(0)), ("1 min".into(), "1500 ms".into(), "0 ms".into()));
    }
}
