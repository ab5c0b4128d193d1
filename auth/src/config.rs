//! Configuration of `auth`.

use std::collections::BTreeSet;

use chassis::{
    config::{Address, Common, Problems, Secret, ServiceConfig},
    redis::RedisConfig,
};
use db::pool::DatabaseConfig;
use events::{kafka::KafkaConfig, relay::RelayConfig};
use serde::{Deserialize, Serialize};

use crate::bootstrap::BootstrapConfig;

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
    /// The first admin.
    pub bootstrap: BootstrapConfig,
    /// How many logins may fail.
    pub login: LoginConfig,
    /// Streams of events and of talk.
    pub stream: StreamConfig,
}

/// The `jwt` table. RFC 7519.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// Key of HS256: only this service signs and checks. At least 32 bytes.
    pub secret: Secret,
    /// `kid` in the header: which key.
    pub kid: String,
    /// Keys that signed before this one and are still good for checking: `KID=SECRET` each. In a variable they are separated
    /// by commas. A new key becomes `secret` and `kid` and the old one goes here, until all that it signed has expired:
    /// for `session.ttl_seconds` and `jwt.access_ttl_seconds` together, since refresh tokens are of the same key.
    pub retired: Vec<Secret>,
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
    /// Seconds that a session lives that nobody uses.
    pub ttl_seconds: u64,
    /// Whether each use lets a session live on from then; else only a refresh does.
    pub sliding: bool,
    /// Seconds after which a session ends whatever is done; 0: never.
    pub max_lifetime_seconds: u64,
    /// What becomes of good access tokens while Redis cannot say whether their session is alive.
    pub when_unavailable: WhenUnavailable,
    /// Days that it is known of a session, after its end, when and from where it was used and why it ended.
    pub audit_retention_days: u32,
}

/// `session.when_unavailable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnavailable {
    /// They are refused with `UNAVAILABLE`: who has ended a session can be sure of it.
    Refuse,
    /// They are good until they expire, for `ValidateToken`, `GetUser` and `GetAvatar`, though their session may have been ended.
    /// Those of admins are refused all the same, and so is whatever changes an account or a session.
    TrustToken,
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

/// The `login` table. Windows begin with the first failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// Failures of one e-mail address in a window, after which it is refused unchecked. A success forgets them.
    pub max_failures: u32,
    /// Failures of one client in a window: of an IPv4 address, or of the /64 of an IPv6 address.
    pub max_failures_per_address: u32,
    /// Seconds that a window lasts.
    pub window_seconds: u64,
}

/// The `stream` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Messages that may wait for a slow reader before its stream is ended.
    pub buffer: usize,
    /// Seconds between looks whether the session of an open stream is still alive.
    pub session_check_seconds: u64,
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
                retired: Vec::new(),
                issuer: "throughline".into(),
                audience: "throughline".into(),
                access_ttl_seconds: 900,
            },
            session: SessionConfig {
                key_prefix: "throughline:auth:".into(),
                ttl_seconds: 7 * DAY,
                sliding: true,
                max_lifetime_seconds: 30 * DAY,
                when_unavailable: WhenUnavailable::Refuse,
                audit_retention_days: 90,
            },
            // OWASP's second choice, and the default of the argon2 crate
            password: PasswordConfig { m_cost_kib: 19_456, t_cost: 2, p_cost: 1 },
            bootstrap: BootstrapConfig::default(),
            login: LoginConfig { max_failures: 10, max_failures_per_address: 100, window_seconds: 300 },
            stream: StreamConfig { buffer: 1_024, session_check_seconds: 30 },
        }
    }
}

/// The shortest key of HS256 that RFC 7518 allows, in bytes.
const MIN_SECRET: usize = 32;
const DAY: u64 = 24 * 3600;
/// Ten years.
const MAX_SECONDS: u64 = 3_650 * DAY;

impl JwtConfig {
    /// A retired key's `kid` and secret.
    pub(crate) fn retired(key: &Secret) -> Option<(&str, &str)> {
        key.expose().split_once('=').filter(|(kid, secret)| !kid.is_empty() && secret.len() >= MIN_SECRET)
    }

    fn check(&self, problems: &mut Problems) {
        if self.secret.expose().len() < MIN_SECRET {
            problems.add("jwt.secret", &self.secret, "at least 32 bytes");
        }
        let mut kids = BTreeSet::from([self.kid.as_str()]);
        for key in &self.retired {
            match Self::retired(key) {
                None => problems.add("jwt.retired", key, "KID=SECRET each, the secret of at least 32 bytes"),
                Some((kid, _)) if !kids.insert(kid) => problems.add("jwt.retired", &kid, "a kid that no other key has, jwt.kid included"),
                Some(_) => {}
            }
        }
    }
}

impl Config {
    fn check_numbers(&self, problems: &mut Problems) {
        let LoginConfig { max_failures, max_failures_per_address, window_seconds } = self.login;
        let StreamConfig { buffer, session_check_seconds } = self.stream;
        for (key, value, most) in [
            ("jwt.access_ttl_seconds", self.jwt.access_ttl_seconds, MAX_SECONDS),
            ("session.ttl_seconds", self.session.ttl_seconds, MAX_SECONDS),
            ("session.audit_retention_days", self.session.audit_retention_days.into(), MAX_SECONDS / DAY),
            ("login.max_failures", max_failures.into(), 1_000_000),
            ("login.max_failures_per_address", max_failures_per_address.into(), 1_000_000),
            ("login.window_seconds", window_seconds, 86_400),
            ("stream.buffer", u64::try_from(buffer).unwrap_or(u64::MAX), 65_536),
            ("stream.session_check_seconds", session_check_seconds, 3_600),
        ] {
            if !(1..=most).contains(&value) {
                problems.add(key, &value, &format!("1 to {most}"));
            }
        }
        if self.session.max_lifetime_seconds > MAX_SECONDS {
            problems.add("session.max_lifetime_seconds", &self.session.max_lifetime_seconds, &format!("0 (none) to {MAX_SECONDS}"));
        }
    }

    fn check_texts(&self, problems: &mut Problems) {
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
        self.jwt.check(problems);
        self.bootstrap.check(problems);
        self.check_numbers(problems);
        self.check_texts(problems);
        let PasswordConfig { m_cost_kib, t_cost, p_cost } = self.password;
        if let Err(error) = argon2::Params::new(m_cost_kib, t_cost, p_cost, None) {
            problems.add("password", &(m_cost_kib, t_cost, p_cost), &format!("parameters that argon2id can use ({error})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chassis::config::{ConfigError, read_with};

    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";

    fn read(retired: &str) -> Result<Config, ConfigError> {
        let given = [("jwt.secret", OLD), ("jwt.kid", "now"), ("jwt.retired", retired), ("database.url", "postgres://a:b@c/d")];
        read_with(None, given.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn retired_keys_come_from_one_variable_and_show_no_secret() {
        let config = read(&format!("before={OLD}, long-ago={OLD}==")).unwrap();
        let keys: BTreeMap<_, _> = config.jwt.retired.iter().filter_map(JwtConfig::retired).collect();
        assert_eq!(keys, BTreeMap::from([("before", OLD), ("long-ago", "0123456789abcdef0123456789abcdef==")]));
        let shown = format!("{:?} {}", config.jwt, serde_json::to_string(&config).unwrap());
        assert!(!shown.contains(OLD), "{shown}");
        assert!(read("").unwrap().jwt.retired.is_empty());
    }

    #[test]
    fn sessions_are_set_by_variables_and_what_they_cannot_be_is_told() {
        let given = |trust: &str, most: &str, days: &str| {
            let base = [("jwt.secret", OLD), ("database.url", "postgres://a:b@c/d"), ("session.sliding", "false")];
            let own = [("session.when_unavailable", trust), ("session.max_lifetime_seconds", most), ("session.audit_retention_days", days)];
            let all = base.into_iter().chain(own).map(|(key, value)| (key.to_owned(), value.to_owned()));
            read_with::<Config>(None, all.collect())
        };
        let session = given("trust-token", "0", "3650").unwrap().session;
        assert_eq!((session.when_unavailable, session.sliding, session.max_lifetime_seconds), (WhenUnavailable::TrustToken, false, 0));
        let mistakes = given("always", "315360001", "0").unwrap_err().problems;
        let mut keys: Vec<_> = mistakes.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["session.audit_retention_days", "session.max_lifetime_seconds", "session.when_unavailable"]);
    }

    #[test]
    fn a_key_that_is_none_or_a_kid_that_is_there_twice_is_a_mistake_and_shows_no_secret() {
        for wrong in ["before", "before=short", &format!("={OLD}"), &format!("now={OLD}"), &format!("a={OLD},a={OLD}")] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["jwt.retired"], "{wrong}");
            assert!(!error.to_string().contains(OLD), "{error}");
        }
    }
}
