//! What can be set, with its defaults.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use chassis::config::{Address, Common, Problems, ServiceConfig};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

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
    /// Bounds of one client.
    pub rate_limit: RateLimit,
    /// Proxies that stand before the gateway.
    pub proxies: Proxies,
    /// Pages of other origins that may call.
    pub cors: Cors,
    /// Routes for trying things out.
    pub diagnostics: Diagnostics,
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
    /// The same for requests that count over many rows, such as `GET /orders/stats`, once it is known who asks.
    pub report_timeout_ms: u64,
    /// Milliseconds until the answer to a request has to begin.
    pub request_timeout_ms: u64,
    /// Requests that may be open in the process; one more is answered with 503.
    pub in_flight: usize,
}

/// How many requests a client may send (GCRA). A client is an IPv4 address or an IPv6 network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// On average; 0: as many as it likes.
    pub requests_per_second: u32,
    /// At once.
    pub burst: u32,
}

/// Who may say on whose behalf a request comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxies {
    /// Networks in CIDR notation. `X-Forwarded-For` is read only on connections that come from one of them.
    pub trusted: Vec<IpNet>,
}

/// Cross-origin requests. <https://fetch.spec.whatwg.org/#http-cors-protocol>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Such as `https://shop.example.org`; `*` alone: all. None: no page but our own.
    pub allowed_origins: Vec<String>,
    /// Whether cookies and `Authorization` may come along; not together with `*`.
    pub allow_credentials: bool,
}

/// Routes for trying things out. Off where nothing is said, as production should have them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostics {
    /// Whether `GET /slow` and `GET /error` are there.
    pub enabled: bool,
}

impl Limits {
    /// `request_timeout_ms`.
    pub(crate) fn request_timeout(self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// `call_timeout_ms`.
    pub(crate) fn call_timeout(self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    /// `report_timeout_ms`.
    pub(crate) fn report_timeout(self) -> Duration {
        Duration::from_millis(self.report_timeout_ms)
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
            limits: Limits {
                body_bytes: 64 << 10,
                call_timeout_ms: 1_800,
                report_timeout_ms: 6_000,
                request_timeout_ms: 10_000,
                in_flight: 4_096,
            },
            // stops who runs wild, and not a load test
            rate_limit: RateLimit { requests_per_second: 20_000, burst: 40_000 },
            proxies: Proxies::default(),
            cors: Cors::default(),
            diagnostics: Diagnostics::default(),
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
        let limits = [("limits.call_timeout_ms", self.limits.call_timeout_ms), ("limits.report_timeout_ms", self.limits.report_timeout_ms)];
        for (key, value) in limits.into_iter().filter(|(_, value)| !(1..=60_000).contains(value)) {
            problems.add(key, &value, "1 to 60000");
        }
        if !(1..=600_000).contains(&self.limits.request_timeout_ms) {
            problems.add("limits.request_timeout_ms", &self.limits.request_timeout_ms, "1 to 600000");
        }
        if !(1..=1_000_000).contains(&self.limits.in_flight) {
            problems.add("limits.in_flight", &self.limits.in_flight, "1 to 1000000");
        }
        if self.rate_limit.requests_per_second > 0 && self.rate_limit.burst == 0 {
            problems.add("rate_limit.burst", &self.rate_limit.burst, "at least 1");
        }
        self.cors.check(problems);
    }
}

impl Cors {
    /// Whether every origin may call.
    pub(crate) fn is_open(&self) -> bool {
        self.allowed_origins.iter().any(|origin| origin == "*")
    }

    fn check(&self, problems: &mut Problems) {
        if self.is_open() && (self.allow_credentials || self.allowed_origins.len() > 1) {
            problems.add("cors.allowed_origins", &self.allowed_origins, "`*` only by itself and without cors.allow_credentials");
        }
        let wrong = |origin: &&String| *origin != "*" && !is_origin(origin);
        for origin in self.allowed_origins.iter().filter(wrong) {
            problems.add("cors.allowed_origins", origin, "origins such as https://shop.example.org, without a path");
        }
    }
}

/// Whether it is a scheme, a host and perhaps a port, as browsers send it.
fn is_origin(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
        && !text.contains('*')
        && Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
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
        let Limits { body_bytes, call_timeout_ms, report_timeout_ms, request_timeout_ms, in_flight } = config.limits;
        assert_eq!((body_bytes, in_flight), (65_536, 4_096));
        assert_eq!((call_timeout_ms, report_timeout_ms, request_timeout_ms), (1_800, 6_000, 10_000));
        assert!(!config.diagnostics.enabled);
        assert_eq!(config.upstream.catalog_cache, "http://127.0.0.1:50052");
    }

    #[test]
    fn credentials_and_every_origin_exclude_each_other() {
        assert_eq!(read(&[("cors.allowed_origins", "*")]).unwrap().cors.allowed_origins, ["*"]);
        assert_eq!(read(&[("cors.allowed_origins", "*"), ("cors.allow_credentials", "true")]).unwrap_err(), ["cors.allowed_origins"]);
        for origin in ["shop.example.org", "https://shop.example.org/", "https://*.example.org", "null"] {
            assert_eq!(read(&[("cors.allowed_origins", origin)]).unwrap_err(), ["cors.allowed_origins"], "{origin}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes =
            [("limits.body_bytes", "0"), ("limits.report_timeout_ms", "0"), ("upstream.auth", "auth:50051"), ("upstream.orders", "")];
        assert_eq!(read(&mistakes).unwrap_err(), ["upstream.auth", "upstream.orders", "limits.body_bytes", "limits.report_timeout_ms"]);
        assert_eq!(read(&[("limits.call_timeout_ms", "60001")]).unwrap_err(), ["limits.call_timeout_ms"]);
    }
}
