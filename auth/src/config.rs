//! Configuration of `auth`.

use chassis::{
    config::{Address, Common, Problems, Secret, ServiceConfig},
    redis::RedisConfig,
};
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
    /// Redis.
    pub redis: RedisConfig,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// The outbox relay.
    pub relay: RelayConfig,
    /// Access tokens.
    pub jwt: JwtConfig,
    /// Sessions.
    pub session: SessionConfig,
    /// Password hashes.
    pub password: PasswordConfig,
}

/// The `jwt` table. RFC 7519.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// Key of HS256: only this service signs and checks. At least 32 bytes.
    pub secret: Secret,
    /// `kid` in the header: which key.
    pub kid: String,
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// Seconds from `iat` to `exp`.
    pub access_ttl_seconds: u64,
}

/// The `session` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// What all keys begin with.
    pub key_prefix: String,
    /// Seconds that a session lives.
    pub ttl_seconds: u64,
}

/// The `password` table: argon2id's parameters (RFC 9106).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordConfig {
    /// KiB of memory.
    pub m_cost_kib: u32,
    /// Passes.
    pub t_cost: u32,
    /// Lanes.
    pub p_cost: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9101),
            server: Address::local(50051),
            // with what else a call does, less than the 1.5 s that a caller may wait where Postgres hangs
            database: DatabaseConfig { acquire_timeout_ms: 900, work_timeout_ms: 1_000, ..DatabaseConfig::default() },
            redis: RedisConfig::default(),
            kafka: KafkaConfig::default(),
            relay: RelayConfig::default(),
            jwt: JwtConfig {
                secret: Secret::default(),
                kid: "1".into(),
                issuer: "throughline".into(),
                audience: "throughline".into(),
                access_ttl_seconds: 900,
            },
            session: SessionConfig { key_prefix: "throughline:auth:".into(), ttl_seconds: 7 * 24 * 3600 },
            // OWASP's second choice, and the default of the argon2 crate
            password: PasswordConfig { m_cost_kib: 19_456, t_cost: 2, p_cost: 1 },
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
        self.redis.check(problems);
        self.kafka.check(problems);
        self.relay.check(problems);
        if self.jwt.secret.expose().len() < 32 {
            problems.add("jwt.secret", &self.jwt.secret, "at least 32 bytes");
        }
        for (key, value) in [("jwt.access_ttl_seconds", self.jwt.access_ttl_seconds), ("session.ttl_seconds", self.session.ttl_seconds)] {
            if !(1..=315_360_000).contains(&value) {
                problems.add(key, &value, "1 to 315360000");
            }
        }
        for (key, value) in [
            ("jwt.kid", &self.jwt.kid),
            ("jwt.issuer", &self.jwt.issuer),
            ("jwt.audience", &self.jwt.audience),
            ("session.key_prefix", &self.session.key_prefix),
        ] {
            if value.is_empty() {
                problems.add(key, value, "any text");
            }
        }
        let PasswordConfig { m_cost_kib, t_cost, p_cost } = self.password;
        if let Err(error) = argon2::Params::new(m_cost_kib, t_cost, p_cost, None) {
            problems.add("password", &(m_cost_kib, t_cost, p_cost), &format!("parameters that argon2id can use ({error})"));
        }
    }
}
