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
    }
}
