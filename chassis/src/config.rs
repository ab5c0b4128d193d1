//! Configuration: a typed struct whose defaults stand in its `Default`, an optional TOML file over it, and environment
//! variables over both (`THROUGHLINE_DATABASE__URL` is `database.url`). All mistakes are reported at once.

mod read;
mod secret;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use telemetry::{TelemetryConfig, logs::LogConfig};

use crate::{runtime::RuntimeConfig, scenario::ScenarioConfig, tls::TlsConfig};

pub use read::{ConfigError, Problem, Problems, env_overrides, read, read_with};
pub use secret::Secret;

/// Prefix of the environment variables.
pub const ENV_PREFIX: &str = "THROUGHLINE_";

/// A service's whole configuration.
pub trait ServiceConfig: Serialize + DeserializeOwned + Default {
    /// The part that all services share.
    fn common(&self) -> &Common;

    /// Reports values that have the right type and still cannot be used.
    fn check(&self, problems: &mut Problems);
}

/// What all services are configured with. Flattened into each service's struct.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Common {
    /// The admin port.
    pub admin: Address,
    /// Log lines.
    pub log: LogConfig,
    /// Spans.
    pub telemetry: TelemetryConfig,
    /// On which threads connections are served.
    pub runtime: RuntimeConfig,
    /// What is encrypted.
    pub tls: TlsConfig,
    /// Faults on purpose.
    pub scenarios: ScenarioConfig,
}

impl Common {
    /// The shared defaults, with the service's own admin port on 127.0.0.1.
    pub fn on_admin_port(port: u16) -> Self {
        Self {
            admin: Address::local(port),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            runtime: RuntimeConfig::default(),
            tls: TlsConfig::default(),
            scenarios: ScenarioConfig::default(),
        }
    }

    /// See [`ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.log.filter() {
            problems.add("log.level", &self.log.level, &format!("{} ({error})", telemetry::logs::ALLOWED));
        }
        self.runtime.check(problems);
        self.scenarios.check(problems);
        self.tls.check(self.telemetry.mode, problems);
        let telemetry = &self.telemetry;
        problems.require_uri("telemetry.otlp_endpoint", &telemetry.otlp_endpoint);
        if !(0.0..=1.0).contains(&telemetry.sample_ratio) {
            problems.add("telemetry.sample_ratio", &telemetry.sample_ratio, "a number from 0 to 1");
        }
        if let Err(wrong) = telemetry.headers() {
            problems.add("telemetry.otlp_headers", &Secret::default(), &format!("a list of NAME=VALUE without {wrong}"));
        }
        if telemetry.otlp_timeout_ms == 0 {
            problems.add("telemetry.otlp_timeout_ms", &telemetry.otlp_timeout_ms, "at least 1");
        }
        if telemetry.batch_size == 0 || telemetry.batch_size > telemetry.queue_size {
            problems.add("telemetry.batch_size", &telemetry.batch_size, "1 to telemetry.queue_size");
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// `IP:PORT`; port 0 takes a free one.
    pub address: SocketAddr,
}

impl Address {
    /// 127.0.0.1 and the given port.
    pub fn local(port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Problems {
    /// Reports a value that is no `http://` or `https://` URI with a host.
    pub fn require_uri(&mut self, key: &str, value: &str) {
        let good = value.parse::<::http::Uri>().is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")));
        if !good {
            self.add(key, &value, "http://HOST:PORT");
        }
    }
}
