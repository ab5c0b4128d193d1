//! One start and one stop per process.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, global, propagation::TextMapCompositePropagator, trace::TracerProvider as _};
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute as semconv};
use serde::{Deserialize, Serialize};

/// Who makes the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The process itself, by the layers of this crate; sent as OTLP.
    #[default]
    Sdk,
    /// Nobody. The W3C context of the caller is still passed on.
    Off,
}

/// The `telemetry` table of every service's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `sdk` or `off`.
    pub mode: Mode,
    /// Where spans go: an OTLP/gRPC endpoint, `http://HOST:PORT`.
    pub otlp_endpoint: String,
    /// Share of new traces that is recorded, 0 to 1. A caller's decision in `traceparent` always wins.
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
            otlp_endpoint: "http://127.0.0.1:4317".into(),
            sample_ratio: 1.0,
            queue_size: 65_536,
            batch_size: 4_096,
            export_interval_ms: 500,
        }
    }
}

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter refuses its settings.
    #[error("telemetry.otlp_endpoint {endpoint:?}: {source}")]
    Exporter {
        /// The configured endpoint.
        endpoint: String,
        /// What the exporter says.
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The process's tracer; none where the mode is `off`.
pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// What [`start`] began; [`Telemetry::shutdown`] ends it.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts telemetry for the process called `service_name`. Must run inside a tokio runtime, which carries the exporter's
/// connection and has to outlive [`Telemetry::shutdown`].
///
/// # Errors
/// [`TelemetryError::Exporter`] where the endpoint is not a URI.
pub fn start(config: &TelemetryConfig, service_name: &'static str) -> Result<Telemetry, TelemetryError> {
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
    if config.mode == Mode::Off {
        return Ok(Telemetry { provider: None });
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(config.otlp_endpoint.clone())
        .with_compression(Compression::Gzip)
        .with_timeout(Duration::from_secs(10))
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: config.otlp_endpoint.clone(), source })?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.queue_size)
        .with_max_export_batch_size(config.batch_size)
        .with_scheduled_delay(Duration::from_millis(config.export_interval_ms))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio))))
        .with_resource(resource(service_name))
        .build();
    let scope = opentelemetry::InstrumentationScope::builder("throughline").with_schema_url(SCHEMA_URL).build();
    // a second start in one process (several services in one test) keeps the first tracer
    let _ = TRACER.set(provider.tracer_with_scope(scope));
    global::set_tracer_provider(provider.clone());
    Ok(Telemetry { provider: Some(provider) })
}

/// `service.instance.id` differs per process, so that replicas stay apart in every backend.
fn resource(service_name: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service_name)
        .with_attributes([
            KeyValue::new(semconv::SERVICE_NAMESPACE, "throughline"),
            KeyValue::new(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(semconv::SERVICE_INSTANCE_ID, uuid::Uuid::new_v4().to_string()),
            KeyValue::new(semconv::PROCESS_PID, i64::from(std::process::id())),
        ])
        .build()
}

impl Telemetry {
    /// Sends what is still queued and stops. Blocks for at most five seconds; call it off the runtime's threads.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(Duration::from_secs(5))
        {
            tracing::warn!(%error, "spans may be missing: the last export did not end in time");
        }
    }
}
