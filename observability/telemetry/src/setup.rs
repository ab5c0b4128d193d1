//! One start and one stop per process.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute as semconv};

use crate::{
    config::{Hop, Mode, Sampling, TelemetryConfig},
    export,
};

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot use its settings.
    #[error("telemetry.otlp_endpoint {endpoint:?}: {problem}")]
    Exporter {
        /// The configured endpoint.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The authorities cannot be read.
    #[error("telemetry.otlp_ca_file {}: {source}", file.display())]
    CaFile {
        /// The configured file.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A header is malformed.
    #[error("telemetry.otlp_headers: {0} is not allowed; each entry is NAME=VALUE")]
    Headers(String),
}

/// What this process does, decided once.
struct Telling {
    tracer: Option<SdkTracer>,
    mode: Mode,
    kafka_spans: bool,
    forward: Vec<Hop>,
}

static TELLING: OnceLock<Telling> = OnceLock::new();

/// The process's tracer; none where it makes no spans.
pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    TELLING.get()?.tracer.as_ref()
}

/// Whether the layers for HTTP, gRPC, SQL and Redis make spans (and count what passes them).
pub(crate) fn makes_spans() -> bool {
    TELLING.get().is_some_and(|telling| telling.mode == Mode::Sdk)
}

/// Whether records that are sent and processed get spans.
pub(crate) fn makes_kafka_spans() -> bool {
    TELLING.get().is_some_and(|telling| telling.tracer.is_some() && (telling.mode == Mode::Sdk || telling.kafka_spans))
}

/// Whether the process itself passes the context on over this hop.
pub(crate) fn forwards(hop: Hop) -> bool {
    TELLING.get().is_none_or(|telling| telling.forward.contains(&hop))
}

/// What [`start`] began; [`Telemetry::shutdown`] ends it.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts telemetry for the process called `service_name`. Must run inside a tokio runtime, which carries the exporter's
/// connection and has to outlive [`Telemetry::shutdown`]. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more about
/// the process, or something else.
///
/// # Errors
/// [`TelemetryError`] where the exporter cannot be made as configured.
pub fn start(config: &TelemetryConfig, service_name: &'static str) -> Result<Telemetry, TelemetryError> {
    let exports = config.mode == Mode::Sdk || (config.mode == Mode::Ebpf && config.kafka_spans);
    let provider = exports.then(|| provider(config, service_name)).transpose()?;
    let scope = opentelemetry::InstrumentationScope::builder("throughline").with_schema_url(SCHEMA_URL).build();
    let telling = Telling {
        tracer: provider.as_ref().map(|provider| provider.tracer_with_scope(scope)),
        mode: config.mode,
        kafka_spans: config.kafka_spans,
        forward: config.forward.clone(),
    };
    // a second start in one process (several services in one test) changes nothing
    let _ = TELLING.set(telling);
    Ok(Telemetry { provider })
}

fn provider(config: &TelemetryConfig, service_name: &'static str) -> Result<SdkTracerProvider, TelemetryError> {
    let ratio = || Sampler::TraceIdRatioBased(config.sample_ratio);
    let sampler = match config.sampler {
        Sampling::AlwaysOn => Sampler::AlwaysOn,
        Sampling::AlwaysOff => Sampler::AlwaysOff,
        Sampling::Ratio => ratio(),
        Sampling::ParentOrOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        Sampling::ParentOrOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        Sampling::ParentOrRatio => Sampler::ParentBased(Box::new(ratio())),
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(export::Admission::new(config)?)
        .with_sampler(sampler)
        .with_resource(resource(service_name))
        .build();
    global::set_tracer_provider(provider.clone());
    Ok(provider)
}

/// `service.instance.id` differs per process, so that replicas stay apart in every backend.
fn resource(service_name: &'static str) -> Resource {
    let ours = Resource::builder_empty()
        .with_service_name(service_name)
        .with_attributes([
            KeyValue::new(semconv::SERVICE_NAMESPACE, "throughline"),
            KeyValue::new(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(semconv::SERVICE_INSTANCE_ID, uuid::Uuid::new_v4().to_string()),
            KeyValue::new(semconv::PROCESS_PID, i64::from(std::process::id())),
        ])
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => ours.with_service_name(name).build(),
        _ => ours.build(),
    }
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
