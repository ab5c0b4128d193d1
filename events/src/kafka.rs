//! How this process talks to Kafka.

use ::kafka::ClientConfig;
use chassis::config::Problems;
use serde::{Deserialize, Serialize};

/// What [`are_brokers`] allows.
pub const BROKERS: &str = "HOST:PORT, several separated by commas";
/// What [`is_name`] allows.
pub const NAME: &str = "letters, digits, `.`, `_` and `-`";

/// True for what `kafka.brokers` may be.
pub fn are_brokers(text: &str) -> bool {
    let good = |broker: &str| broker.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    text.split(',').all(good)
}

/// True for what may be part of a topic's or a group's name, nothing included.
pub fn is_name(text: &str) -> bool {
    text.chars().all(|sign| sign.is_ascii_alphanumeric() || "._-".contains(sign))
}

/// The `kafka` table of a service's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// `HOST:PORT`, several separated by commas.
    pub brokers: String,
    /// Appended to every topic and group name, so that several meshes can share a broker. Empty: nothing.
    pub topic_suffix: String,
    /// Milliseconds until a record that no broker acknowledged counts as not sent.
    pub delivery_timeout_ms: u64,
    /// Milliseconds that the producer gathers records for one request.
    pub linger_ms: u64,
    /// Records that may wait in the producer; whoever sends one more waits for room, at most `delivery_timeout_ms`.
    pub queue_records: u32,
    /// Milliseconds without a heartbeat after which a consumer's partitions go to others.
    pub session_timeout_ms: u64,
    /// Name of this process as a static member of its consumer group, different in each process: one that comes back under it
    /// within `session_timeout_ms` finds its partitions, without a rebalance. Empty: a member like any other.
    pub group_instance_id: String,
    /// Records of one partition that a consumer has in hand at most.
    pub batch_size: usize,
    /// Keys of one partition whose records a consumer handles at the same time.
    pub concurrency: usize,
    /// Milliseconds during which nothing was finished though there was work, after which a consumer is not ready.
    pub stuck_after_ms: u64,
    /// Milliseconds between looks at how far a consumer lags behind, for the metrics.
    pub statistics_interval_ms: u64,
    /// Milliseconds before each repeat of a record that failed; their number is that of the repeats.
    pub retry_delays_ms: Vec<u64>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:19092".into(),
            topic_suffix: String::new(),
            delivery_timeout_ms: 30_000,
            linger_ms: 10,
            queue_records: 10_000,
            session_timeout_ms: 30_000,
            group_instance_id: String::new(),
            batch_size: 500,
            concurrency: 16,
            stuck_after_ms: 30_000,
            statistics_interval_ms: 5_000,
            retry_delays_ms: vec![100, 400, 900],
        }
    }
}

impl KafkaConfig {
    /// See [`chassis::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        if !are_brokers(&self.brokers) {
            problems.add("kafka.brokers", &self.brokers, BROKERS);
        }
        if !is_name(&self.topic_suffix) {
            problems.add("kafka.topic_suffix", &self.topic_suffix, NAME);
        }
        if !(1..=10_000_000).contains(&self.queue_records) {
            problems.add("kafka.queue_records", &self.queue_records, "1 to 10000000");
        }
        if !(1..=10_000).contains(&self.batch_size) {
            problems.add("kafka.batch_size", &self.batch_size, "1 to 10000");
        }
        if !(1..=1_000).contains(&self.concurrency) {
            problems.add("kafka.concurrency", &self.concurrency, "1 to 1000");
        }
        if !(100..=60_000).contains(&self.statistics_interval_ms) {
            problems.add("kafka.statistics_interval_ms", &self.statistics_interval_ms, "100 to 60000");
        }
        if !(6_000..=300_000).contains(&self.session_timeout_ms) {
            problems.add("kafka.session_timeout_ms", &self.session_timeout_ms, "6000 to 300000");
        }
        if self.group_instance_id.len() > 200 || !is_name(&self.group_instance_id) {
            problems.add("kafka.group_instance_id", &self.group_instance_id, "up to 200 letters, digits, `.`, `_` and `-`");
        }
        if self.stuck_after_ms < self.statistics_interval_ms {
            problems.add("kafka.stuck_after_ms", &self.stuck_after_ms, "at least kafka.statistics_interval_ms");
        }
        if self.delivery_timeout_ms <= self.linger_ms {
            problems.add("kafka.delivery_timeout_ms", &self.delivery_timeout_ms, "more than kafka.linger_ms");
        }
    }

    /// A topic or group by its declared name.
    pub fn named(&self, name: &str) -> String {
        format!("{name}{}", self.topic_suffix)
    }

    /// What clients of both kinds share. `client_id` shows in the broker's logs.
    pub(crate) fn client(&self, client_id: &str) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            .set("socket.keepalive.enable", "true")
            // a broker that is back should not wait for us
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000");
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(config: &KafkaConfig) -> String {
        let mut problems = Problems::default();
        config.check(&mut problems);
        format!("{problems:?}")
    }

    #[test]
    fn the_name_of_a_static_member_is_one_that_a_broker_takes() {
        let named = |name: &str| said(&KafkaConfig { group_instance_id: name.into(), ..KafkaConfig::default() });
        for good in ["", "analytics-0", "pod_1.zone"] {
            assert_eq!(named(good), said(&KafkaConfig::default()), "{good:?}");
        }
        for bad in ["a b", "a/b", "ä", &"x".repeat(201)] {
            assert!(named(bad).contains("kafka.group_instance_id"), "{bad:?}");
        }
    }

    #[test]
    fn nobody_is_called_stuck_before_there_was_a_look() {
        let config = KafkaConfig { stuck_after_ms: 4_999, ..KafkaConfig::default() };
        assert!(said(&config).contains("kafka.stuck_after_ms"));
    }
}
