//! Where the spans of a replay go.

use anyhow::{Context, Result};
use telemetry::{Mode, Telemetry, TelemetryConfig};

use super::args::Source;
use crate::mesh::Mesh;
use crate::state::State;

/// `service.name`
const NAME: &str = "dlq-replay";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Starts telemetry as the mesh has it. For another broker, spans are made where `OTEL_EXPORTER_OTLP_ENDPOINT` says where
/// they go; where none are made, the letter's context is passed on as it is.
pub(super) fn start(source: &Source, mesh: &Mesh) -> Result<Telemetry> {
    telemetry::start(&config(source, mesh)?, NAME).context("telemetry")
}

fn config(source: &Source, mesh: &Mesh) -> Result<TelemetryConfig> {
    let off = TelemetryConfig { mode: Mode::Off, ..TelemetryConfig::default() };
    if source.brokers.is_some() {
        let told = std::env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
        return Ok(told.map_or(off, |otlp_endpoint| TelemetryConfig { otlp_endpoint, ..TelemetryConfig::default() }));
    }
    let mode = match mesh.settings.telemetry.mode.as_str() {
        "sdk" => Mode::Sdk,
        "ebpf" => Mode::Ebpf,
        _ => return Ok(off),
    };
    if State::read(&mesh.home.state())?.alive("backend").is_none() {
        return Ok(off);
    }
    let otlp_endpoint = format!("http://127.0.0.1:{}", mesh.ports.otlp_grpc);
    Ok(TelemetryConfig { mode, otlp_endpoint, ..TelemetryConfig::default() })
}
