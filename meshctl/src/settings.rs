//! What a local mesh can be told: ports, deadlines and the sizes of its servers.
//!
//! The defaults are `deploy/mesh.toml`, built into the binary; a file of one's own and the environment override them.
//! A mesh is started only from settings that are right as a whole: every mistake is reported at once.

mod overlay;
mod ports;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use ports::Ports;

/// The defaults file as text, comments included.
pub(crate) const DEFAULTS: &str = include_str!("../../deploy/mesh.toml");

/// Prefix of the environment variables that override settings: `MESH_PORTS__GATEWAY=8090`.
pub(crate) const ENV_PREFIX: &str = "MESH_";

/// Everything that can be set; see `deploy/mesh.toml` for what each key means and what is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// TCP ports.
    pub(crate) ports: Ports,
    /// Seconds to wait for things.
    pub(crate) deadlines: Deadlines,
    /// Logging of the services.
    pub(crate) log: Log,
    /// Spans of the services.
    pub(crate) telemetry: Telemetry,
    /// Threads of the services.
    pub(crate) runtime: Runtime,
    /// TLS of the services.
    pub(crate) tls: Tls,
    /// OpenTelemetry eBPF Instrumentation.
    pub(crate) obi: Obi,
    /// Faults on purpose.
    pub(crate) scenarios: Scenarios,
    /// Prometheus.
    pub(crate) prometheus: Prometheus,
    /// The Postgres server.
    pub(crate) postgres: Postgres,
    /// The Redis server.
    pub(crate) redis: Redis,
    /// The Kafka broker.
    pub(crate) kafka: Kafka,
    /// The demo user.
    pub(crate) demo: Demo,
    /// Additional environment, by service name.
    pub(crate) env: BTreeMap<String, BTreeMap<String, String>>,
}

/// Deadlines in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deadlines {
    /// Until a process answers.
    pub(crate) start: u64,
    /// Until a process has stopped by itself.
    pub(crate) stop: u64,
    /// Until the trace of the demo order is complete.
    pub(crate) trace: u64,
}

/// Logging of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// Level or filter.
    pub(crate) level: String,
    /// `json` or `text`.
    pub(crate) format: String,
}

/// Spans of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Telemetry {
    /// `sdk`, `ebpf` or `off`.
    pub(crate) mode: String,
}

impl Telemetry {
    /// The values of [`Telemetry::mode`].
    pub(crate) const MODES: [&str; 3] = ["sdk", Self::EBPF, "off"];

    /// The one in which OBI makes the spans.
    pub(crate) const EBPF: &str = "ebpf";

    /// Whether OBI makes the spans.
    pub(crate) fn is_ebpf(&self) -> bool {
        self.mode == Self::EBPF
    }

    /// Whether nobody makes spans.
    pub(crate) fn is_off(&self) -> bool {
        self.mode == "off"
    }
}

/// Threads of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// `auto`, `shared` or `thread-per-connection`.
    pub(crate) model: String,
}

/// TLS of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tls {
    /// `off`, `tls` or `mtls`.
    pub(crate) mode: String,
}

impl Tls {
    /// Whether anything is encrypted.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != "off"
    }
}

/// OpenTelemetry eBPF Instrumentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Obi {
    /// Its image, for Docker.
    pub(crate) image: String,
    /// Its settings file, or empty.
    pub(crate) settings: String,
}

/// Faults on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenarios {
    /// Folder with their files, or empty.
    pub(crate) directory: String,
}

/// Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prometheus {
    /// `auto`, `on` or `off`.
    pub(crate) mode: String,
    /// Milliseconds between two scrapes.
    pub(crate) scrape_interval_ms: u32,
    /// How long samples are kept, as Prometheus writes durations.
    pub(crate) retention: String,
    /// `HOST:PORT` where a `verify --watch` has its metrics.
    pub(crate) canary: String,
    /// Folder of its rules, or empty.
    pub(crate) rules: String,
}

/// The Postgres server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Postgres {
    /// Folder of its programs, or empty.
    pub(crate) bin_dir: String,
    /// Its connection limit.
    pub(crate) max_connections: u32,
}

/// The Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redis {
    /// Its memory limit, with unit.
    pub(crate) maxmemory: String,
}

/// The Kafka broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kafka {
    /// Java heap in MiB.
    pub(crate) heap_mb: u32,
    /// Folder for jars and class archive, or empty.
    pub(crate) cache_dir: String,
}

/// The demo user, and the demo admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demo {
    /// With what the user logs in.
    pub(crate) email: String,
    /// With what the admin logs in.
    pub(crate) admin_email: String,
}

/// One mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The key, with its table: `ports.gateway`.
    pub(crate) key: String,
    /// The value as it was written.
    pub(crate) value: String,
    /// What is allowed there.
    pub(crate) allowed: String,
}

/// All mistakes of one set of settings, or why the file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct SettingsError {
    /// In the order in which they were found; never empty.
    pub(crate) mistakes: Vec<Mistake>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the settings:", plural(self.mistakes.len(), "mistake"))?;
        for mistake in &self.mistakes {
            write!(f, "\n  {} = {}: {}", mistake.key, mistake.value, mistake.allowed)?;
        }
        Ok(())
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

impl Settings {
    /// Reads the defaults, then `file` over them, then `env` (pairs of variable and value; those without
    /// [`ENV_PREFIX`] and a `__` are not ours).
    pub(crate) fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let mut mistakes = Vec::new();
        let defaults = overlay::defaults(&mut mistakes);
        let mut merged = defaults.clone();
        if let Some(path) = file {
            let table = overlay::file(path, &mut mistakes);
            overlay::table("", &defaults, &mut merged, &table, &mut mistakes);
        }
        overlay::environment(&defaults, &mut merged, env, &mut mistakes);
        overlay::check(&merged, &mut mistakes);
        if mistakes.is_empty() {
            match toml::Value::Table(merged).try_into() {
                Ok(settings) => return Ok(settings),
                Err(err) => mistakes.push(Mistake { key: "settings".to_owned(), value: "(merged)".to_owned(), allowed: err.to_string() }),
            }
        }
        Err(SettingsError { mistakes })
    }
}

#[cfg(test)]
mod tests;
