//! What `verify` can be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue};

use super::{
    http::header_argument,
    source::{BackendArg, Search},
};

/// What to check, against what, and how strictly.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Place this many orders [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = EXISTING)]
    pub orders: Option<u64>,
    /// Place orders for this long instead: 60s, 5m
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "orders", conflicts_with_all = EXISTING)]
    pub duration: Option<Duration>,
    /// Orders per second, whatever the answers take [default: as many as --concurrency gives; --watch: 0.2]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with_all = EXISTING)]
    pub rate: Option<f64>,
    /// Orders under way at once, at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,
    /// The expected trace, in the format of docs/verify.md [default: that of an order]
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// How the spans are made: a mode that the contract knows [default: the mesh's, or its first]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Where the traces are: embedded (the mesh's own), jaeger=URL or tempo=URL
    #[arg(long, value_name = "BACKEND", default_value = "embedded")]
    pub backend: BackendArg,
    /// A header for the backend, for Prometheus and for Loki; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = header_argument)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Trust these certificates (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How long a trace may take to become whole [default: 30s; with --trace, --search and --explain 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// The share of complete traces below which the check has failed
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = percent)]
    pub min_complete: f64,
    /// Where to place the orders [default: the mesh's own gateway]
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// Who places the orders [default: the mesh's demo user]
    #[arg(long, requires = "password")]
    pub email: Option<String>,
    /// Their password
    #[arg(long, env = "VERIFY_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Print one trace as a tree with the differences marked
    #[arg(long, value_name = "TRACE_ID", group = "existing")]
    pub explain: Option<String>,
    /// Check traces that are there already, and place no order
    #[arg(long, value_name = "TRACE_ID", num_args = 1.., group = "existing")]
    pub trace: Vec<String>,
    /// Check the newest traces of a service, with these attributes: service=NAME,KEY=VALUE,...
    #[arg(long, value_name = "SEARCH", group = "existing")]
    pub search: Option<Search>,
    /// How many traces --search checks
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000), requires = "search")]
    pub limit: u16,
    /// Place orders at a low rate for ever, and expose what is found as metrics
    #[arg(long, conflicts_with_all = EXISTING, conflicts_with_all = ["orders", "duration", "metrics", "logs", "min_complete"])]
    pub watch: bool,
    /// Where --watch exposes /metrics
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9108", requires = "watch")]
    pub metrics_address: SocketAddr,
    /// Compare with the counter that the contract names: a /metrics page, or a Prometheus [default: the page of orders]
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "", conflicts_with_all = EXISTING)]
    pub metrics: Option<String>,
    /// Compare with the log lines that the contract names: a file, a folder, or a Loki [default: the mesh's own logs]
    #[arg(long, value_name = "URL|PATH", num_args = 0..=1, default_missing_value = "", conflicts_with_all = EXISTING)]
    pub logs: Option<String>,
}

const EXISTING: [&str; 3] = ["explain", "trace", "search"];

impl VerifyArgs {
    /// Whether orders are placed.
    pub fn sends(&self) -> bool {
        self.explain.is_none() && self.trace.is_empty() && self.search.is_none()
    }
}

/// `500ms`, `60s`, `5m`, `1h`, and plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: write a number with ms, s, m or h, such as 30s");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| wrong())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate)).ok_or_else(|| "write a number from 0.001 to 1000000".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "write a number from 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: VerifyArgs,
    }

    #[test]
    fn durations() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("1.5m", 90_000), ("1h", 3_600_000), ("2", 2_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "1 s", "nan"] {
            assert!(duration(text).unwrap_err().contains("30s"), "{text}");
        }
    }

    #[test]
    fn what_excludes_what() {
        let read = |line: &str| Line::try_parse_from(["verify"].into_iter().chain(line.split_whitespace()));
        assert!(read("").unwrap().args.sends());
        assert_eq!(read("--metrics --logs /var/log").unwrap().args.metrics.as_deref(), Some(""));
        assert_eq!(read("--trace a b c").unwrap().args.trace.len(), 3);
        for line in [
            "--orders 1 --duration 5s",
            "--orders 0",
            "--trace a --orders 5",
            "--trace a --search service=b",
            "--limit 5",
            "--watch --explain a",
            "--watch --orders 5",
            "--metrics-address 127.0.0.1:1",
            "--min-complete 101",
            "--rate 0",
            "--header novalue",
            "--email somebody@example.com",
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
