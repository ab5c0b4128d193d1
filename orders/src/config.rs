//! Configuration of `orders`.

use chassis::config::{Address, Common, Problems, ServiceConfig};
use db::pool::DatabaseConfig;
use events::{kafka::KafkaConfig, relay::RelayConfig};
use serde::{Deserialize, Serialize};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have.
    #[serde(flatten)]
    pub common: Common,
    /// gRPC.
    pub server: Address,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// The outbox relay.
    pub relay: RelayConfig,
    /// Who is called.
    pub upstream: UpstreamConfig,
    /// Reports.
    pub stats: StatsConfig,
}

/// The `upstream` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// catalog-cache: `http://HOST:PORT`.
    pub catalog_cache: String,
    /// Milliseconds that it may take to answer.
    pub timeout_ms: u64,
}

/// The `stats` table: what is asked about everybody's orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatsConfig {
    /// Milliseconds that a report may take, waiting for its turn included.
    pub timeout_ms: u64,
    /// Reports that the process works on at once; each takes a connection of the pool. Fewer than `database.pool_size`.
    pub concurrency: usize,
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self { timeout_ms: 5_000, concurrency: 2 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9103),
            server: Address::local(50053),
            // placing an order within these, catalogue included, leaves the gateway time to say that it did not work
            database: DatabaseConfig { work_timeout_ms: 1_300, ..DatabaseConfig::default() },
            kafka: KafkaConfig::default(),
            relay: RelayConfig::default(),
            upstream: UpstreamConfig { catalog_cache: "http://127.0.0.1:50052".into(), timeout_ms: 1_200 },
            stats: StatsConfig::default(),
        }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.database.check(problems);
        self.kafka.check(problems);
        self.relay.check(problems);
        problems.require_uri("upstream.catalog_cache", &self.upstream.catalog_cache);
        if self.upstream.timeout_ms == 0 {
            problems.add("upstream.timeout_ms", &self.upstream.timeout_ms, "at least 1");
        }
        if !(1..=600_000).contains(&self.stats.timeout_ms) {
            problems.add("stats.timeout_ms", &self.stats.timeout_ms, "1 to 600000");
        }
        // a pool of one connection has none to spare: its reports take turns with its orders
        let spare = (self.database.pool_size as usize).saturating_sub(1).max(1);
        if !(1..=spare).contains(&self.stats.concurrency) {
            problems.add("stats.concurrency", &self.stats.concurrency, "1 to one less than database.pool_size");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chassis::config::read_with;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let given = [("database.url", "postgres://u:p@127.0.0.1/x"), ("kafka.brokers", "127.0.0.1:9092")];
        let overrides: BTreeMap<_, _> = given.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        read_with(None, overrides).map_err(|error| error.problems.into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn an_order_has_its_time_and_reports_have_theirs() {
        let config = read(&[]).unwrap();
        assert_eq!((config.database.work_timeout_ms, config.upstream.timeout_ms), (1_300, 1_200));
        assert_eq!((config.stats.timeout_ms, config.stats.concurrency), (5_000, 2));
    }

    #[test]
    fn reports_leave_a_connection_to_the_orders() {
        let shared = |size, reports| read(&[("database.pool_size", size), ("stats.concurrency", reports)]).map(|_| ());
        for (size, reports) in [("20", "19"), ("3", "2"), ("2", "1"), ("1", "1")] {
            shared(size, reports).unwrap();
        }
        for (size, reports) in [("20", "20"), ("2", "2"), ("1", "2"), ("20", "0")] {
            assert_eq!(shared(size, reports).unwrap_err(), ["stats.concurrency"], "{size} {reports}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes =
            [("upstream.catalog_cache", "catalog"), ("upstream.timeout_ms", "0"), ("stats.timeout_ms", "0"), ("stats.concurrency", "0")];
        assert_eq!(
            read(&mistakes).unwrap_err(),
            ["upstream.catalog_cache", "upstream.timeout_ms", "stats.timeout_ms", "stats.concurrency"]
        );
    }
}
