//! What can be set, under which names: ours, and the standard variables of OpenTelemetry.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Who makes the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The process itself, by the layers of this crate; sent as OTLP.
    #[default]
    Sdk,
    /// OBI, from outside. The process passes the caller's W3C context on, and makes spans for the Kafka hops, which OBI
    /// cannot join.
    Ebpf,
    /// Nobody. The W3C context of the caller is still passed on.
    Off,
}

/// A hop over which the process itself passes the W3C context on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// `traceparent`, `tracestate` and `baggage` in the metadata of gRPC calls.
    Grpc,
    /// The same in outbox rows and record headers.
    Kafka,
}

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OtlpProtocol {
    /// OTLP/gRPC, by convention on port 4317.
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP/HTTP with protobuf, by convention on port 4318.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// How OTLP is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpCompression {
    /// gzip: fewer bytes for more CPU.
    Gzip,
    /// Not at all: OpenTelemetry's default.
    #[default]
    None,
}

/// Which new traces are recorded; the names are those of `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// `sample_ratio` of them, whatever the caller decided.
    #[serde(rename = "traceidratio")]
    Ratio,
    /// What the caller decided; all that begin here.
    #[serde(rename = "parentbased_always_on")]
    ParentOrOn,
    /// What the caller decided; none that begin here.
    #[serde(rename = "parentbased_always_off")]
    ParentOrOff,
    /// What the caller decided; `sample_ratio` of those that begin here.
    #[default]
    #[serde(rename = "parentbased_traceidratio")]
    ParentOrRatio,
}

/// The `telemetry` table of every service's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `sdk`, `ebpf` or `off`.
    pub mode: Mode,
    /// In mode `ebpf`: whether the process makes spans for what it sends to and processes from Kafka.
    pub kafka_spans: bool,
    /// The hops over which the process passes the W3C context on: `grpc`, `kafka`.
    pub forward: Vec<Hop>,
    /// Where spans go: `http://HOST:PORT` or `https://HOST:PORT`; for OTLP/HTTP `/v1/traces` is added.
    pub otlp_endpoint: String,
    /// `grpc` or `http/protobuf`.
    pub otlp_protocol: OtlpProtocol,
    /// `gzip` or `none`.
    pub otlp_compression: OtlpCompression,
    /// Headers of every export, each `NAME=VALUE`; values are secrets and not printed.
    #[serde(serialize_with = "mask_values")]
    pub otlp_headers: Vec<String>,
    /// PEM file with the authorities to trust; empty: those of the system.
    pub otlp_ca_file: PathBuf,
    /// Milliseconds for which an export is tried again before its spans are given up.
    pub otlp_timeout_ms: u64,
    /// Which traces are recorded.
    pub sampler: Sampling,
    /// Share of new traces that is recorded, 0 to 1.
    pub sample_ratio: f64,
    /// Spans that may wait for export before further ones are dropped.
    pub queue_size: usize,
    /// Spans in one export request.
    pub batch_size: usize,
    /// Milliseconds between exports of less than a full batch.
    pub export_interval_ms: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Sdk,
            kafka_spans: true,
            forward: vec![Hop::Grpc, Hop::Kafka],
            otlp_endpoint: "http://127.0.0.1:4317".into(),
            otlp_protocol: OtlpProtocol::Grpc,
            otlp_compression: OtlpCompression::None,
            otlp_headers: Vec::new(),
            otlp_ca_file: PathBuf::new(),
            otlp_timeout_ms: 60_000,
            sampler: Sampling::ParentOrRatio,
            sample_ratio: 1.0,
            queue_size: 65_536,
            batch_size: 512,
            export_interval_ms: 500,
        }
    }
}

impl TelemetryConfig {
    /// The headers, as names and values. An error names the entry that is none.
    ///
    /// # Errors
    /// The entry's name, where it has one.
    pub fn headers(&self) -> Result<Vec<(String, String)>, String> {
        self.otlp_headers
            .iter()
            .filter(|entry| !entry.trim().is_empty())
            .map(|entry| {
                let (name, value) = entry.split_once('=').ok_or("an entry without `=`")?;
                let name = http::HeaderName::try_from(name.trim()).map_err(|_| format!("the name {name:?}"))?;
                http::HeaderValue::try_from(value.trim()).map_err(|_| format!("the value of {name}"))?;
                Ok((name.to_string(), value.trim().to_owned()))
            })
            .collect()
    }
}

fn mask_values<S: serde::Serializer>(headers: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|entry| format!("{}=***", entry.split('=').next().unwrap_or_default())))
}

/// OpenTelemetry's own variables and the keys that they set. Of two for one key the later one wins.
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
const STANDARD_VARIABLES: [(&str, &str); 17] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp_protocol"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp_protocol"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "otlp_compression"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "otlp_compression"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp_ca_file"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "otlp_ca_file"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp_timeout_ms"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "otlp_timeout_ms"),
    ("OTEL_TRACES_SAMPLER", "sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "sample_ratio"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "queue_size"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "batch_size"),
    ("OTEL_BSP_SCHEDULE_DELAY", "export_interval_ms"),
];

/// The keys below `telemetry.` that OpenTelemetry's own variables set; empty variables count as unset. Besides,
/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are heeded by [`crate::start`].
pub fn standard_overrides(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let given = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let mut overrides: BTreeMap<String, String> =
        STANDARD_VARIABLES.iter().filter_map(|(name, key)| Some(((*key).to_owned(), given(name)?.clone()))).collect();
    let disabled = given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let nowhere = given("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if disabled || nowhere {
        overrides.insert("mode".into(), "off".into());
    }
    overrides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        standard_overrides(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_variable_for_traces_wins_over_the_one_for_all_signals() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
        assert_eq!(of(&[all])["otlp_endpoint"], "http://all:4317");
        assert_eq!(of(&[all, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317")])["otlp_endpoint"], "http://traces:4317");
    }

    #[test]
    fn empty_counts_as_unset_and_disabled_as_off() {
        assert!(of(&[("OTEL_TRACES_SAMPLER", ""), ("OTEL_SDK_DISABLED", "false")]).is_empty());
        assert_eq!(of(&[("OTEL_SDK_DISABLED", "TRUE")])["mode"], "off");
        assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "none")])["mode"], "off");
    }

    #[test]
    fn every_variable_sets_a_key_that_there_is() {
        let keys = serde_json::to_value(TelemetryConfig::default()).unwrap();
        for (name, key) in STANDARD_VARIABLES {
            assert!(keys.get(key).is_some(), "{name} sets {key}");
        }
    }

    #[test]
    fn headers_are_read_and_never_printed() {
        let config = TelemetryConfig { otlp_headers: vec!["authorization=Basic c2VjcmV0".into()], ..TelemetryConfig::default() };
        assert_eq!(config.headers().unwrap(), [("authorization".to_owned(), "Basic c2VjcmV0".to_owned())]);
        assert!(!serde_json::to_string(&config).unwrap().contains("c2VjcmV0"));
        let wrong = TelemetryConfig { otlp_headers: vec!["no value".into()], ..TelemetryConfig::default() };
        assert!(wrong.headers().is_err());
    }
}
