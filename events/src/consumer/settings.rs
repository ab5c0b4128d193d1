//! What librdkafka is told about a member of a group.

use ::kafka::ClientConfig;

use crate::kafka::KafkaConfig;

/// Records and KiB that are fetched ahead for each partition, beside what is in hand.
const AHEAD: (&str, &str) = ("2000", "4096");
/// `max.poll.interval.ms`, and so how long a rebalance waits for a member that is silent. It has to be more than the session timeout.
const POLL_INTERVAL_MS: u64 = 300_000;

/// A member that hears of partitions one by one, commits by hand, and fetches little ahead.
pub(super) fn settings(config: &KafkaConfig, group: &str) -> ClientConfig {
    let mut client = config.client(group);
    client
        .set("group.id", config.named(group))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("session.timeout.ms", config.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (config.session_timeout_ms / 10).to_string())
        // the reader handles no record: it is back within seconds, whatever handlers do
        .set("max.poll.interval.ms", POLL_INTERVAL_MS.max(config.session_timeout_ms).to_string())
        // a record should not wait for company
        .set("fetch.wait.max.ms", "100")
        // fetched ahead per partition: bounded, and soon again when there is room
        .set("queued.min.messages", AHEAD.0)
        .set("queued.max.messages.kbytes", AHEAD.1)
        .set("fetch.queue.backoff.ms", "20")
        .set("statistics.interval.ms", config.statistics_interval_ms.to_string());
    if !config.group_instance_id.is_empty() {
        client.set("group.instance.id", &config.group_instance_id);
    }
    client
}
