//! What can be set, with its defaults.

use std::time::Duration;

use chassis::config::{Address, Common, Problems, ServiceConfig};
use serde::{Deserialize, Serialize};

/// The gateway's whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services share.
    #[serde(flatten)]
    pub common: Common,
    /// The public port.
    pub server: Address,
    /// The services behind.
    pub upstream: Upstream,
    /// Bounds of one request.
    pub limits: Limits,
}

/// The services behind, each as `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Who is calling.
    pub auth: String,
    /// What is sold.
    pub catalog_cache: String,
    /// Orders.
    pub orders: String,
}

/// Bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// Milliseconds that the calls to other services which one request needs may take together.
    pub call_timeout_ms: u64,
}

impl Limits {
    /// `call_timeout_ms`.
    pub(crate) fn call_timeout(self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9100),
            server: Address::local(8080),
            upstream: Upstream {
                auth: "http://127.0.0.1:50051".into(),
                catalog_cache: "http://127.0.0.1:50052".into(),
                orders: "http://127.0.0.1:50053".into(),
            },
            limits: Limits { body_bytes: 64 << 10, call_timeout_ms: 1_800 },
        }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        problems.require_uri("upstream.auth", &self.upstream.auth);
        problems.require_uri("upstream.catalog_cache", &self.upstream.catalog_cache);
        problems.require_uri("upstream.orders", &self.upstream.orders);
        if !(1..=16 << 20).contains(&self.limits.body_bytes) {
            problems.add("limits.body_bytes", &self.limits.body_bytes, "1 to 16777216");
        }
        if !(1..=60_000).contains(&self.limits.call_timeout_ms) {
            problems.add("limits.call_timeout_ms", &self.limits.call_timeout_ms, "1 to 60000");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chassis::config::read_with;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let overrides: BTreeMap<_, _> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        read_with(None, overrides).map_err(|error| error.problems.into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = read(&[]).unwrap();
        assert_eq!((config.server, config.common.admin), (Address::local(8080), Address::local(9100)));
        assert_eq!(config.limits, Limits { body_bytes: 65_536, call_timeout_ms: 1_800 });
        assert_eq!(config.upstream.catalog_cache, "http://127.0.0.1:50052");
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes =
            [("limits.body_bytes", "0"), ("limits.call_timeout_ms", "0"), ("upstream.auth", "auth:50051"), ("upstream.orders", "")];
        assert_eq!(read(&mistakes).unwrap_err(), ["upstream.auth", "upstream.orders", "limits.body_bytes", "limits.call_timeout_ms"]);
    }
}
