//! RED metrics of the edges, under the names and labels that OBI exports, so that one dashboard serves both. Only in mode
//! `sdk`: in mode `ebpf` OBI exports them. Latencies carry the trace id as exemplar.

mod process;

use std::{
    borrow::Cow,
    fmt::Write,
    sync::{LazyLock, OnceLock},
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context,
    trace::{TraceContextExt, TraceId},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::{
    config::{Mode, TelemetryConfig},
    grpc::OTHER,
    setup::makes_spans,
};

/// OBI's buckets for durations, in seconds.
const SECONDS: [f64; 15] = [0.0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// OBI's buckets for sizes, in bytes.
const BYTES: [f64; 10] = [0.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0];

/// The exemplar of a latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Exemplar {
    trace_id: Hex,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hex(TraceId);

impl EncodeLabelValue for Hex {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        write!(encoder, "{}", self.0)
    }
}

type Latency<L> = Family<L, HistogramWithExemplars<Exemplar>, fn() -> HistogramWithExemplars<Exemplar>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    http_request_method: Cow<'static, str>,
    http_response_status_code: u16,
    http_route: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    rpc_method: String,
    rpc_system: Cow<'static, str>,
    rpc_grpc_status_code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DbLabels {
    db_operation_name: String,
    db_system_name: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessagingLabels {
    messaging_system: Cow<'static, str>,
    messaging_destination_name: String,
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanResult {
    /// The backend has it.
    Exported,
    /// The backend did not take it in time.
    Failed,
    /// There was no room for it.
    Dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: Cow<'static, str>,
}

struct Red {
    http_server: Latency<HttpLabels>,
    http_body: Latency<HttpLabels>,
    rpc_server: Latency<RpcLabels>,
    rpc_client: Latency<RpcLabels>,
    db: Latency<DbLabels>,
    publish: Latency<MessagingLabels>,
    process: Latency<MessagingLabels>,
    spans: Family<ResultLabels, Counter>,
}

static RED: LazyLock<Red> = LazyLock::new(|| Red {
    http_server: latency(),
    http_body: Family::new_with_constructor(|| HistogramWithExemplars::new(BYTES.into_iter())),
    rpc_server: latency(),
    rpc_client: latency(),
    db: latency(),
    publish: latency(),
    process: latency(),
    spans: Family::default(),
});

fn latency<L: Clone + std::hash::Hash + Eq>() -> Latency<L> {
    Family::new_with_constructor(|| HistogramWithExemplars::new(SECONDS.into_iter()))
}

/// Registers what this process can tell of its edges, its exporter and itself.
pub fn register(registry: &mut Registry, config: &TelemetryConfig) {
    if config.mode == Mode::Sdk {
        let red = &*RED;
        registry.register_with_unit("http_server_request_duration", "HTTP requests answered", Unit::Seconds, red.http_server.clone());
        registry.register_with_unit("http_server_request_body_size", "Bodies of HTTP requests", Unit::Bytes, red.http_body.clone());
        registry.register_with_unit("rpc_server_duration", "gRPC calls answered", Unit::Seconds, red.rpc_server.clone());
        registry.register_with_unit("rpc_client_duration", "gRPC calls made", Unit::Seconds, red.rpc_client.clone());
        registry.register_with_unit("db_client_operation_duration", "Statements and commands of requests", Unit::Seconds, red.db.clone());
        registry.register_with_unit(
            "messaging_publish_duration",
            "Records sent, until they were acknowledged",
            Unit::Seconds,
            red.publish.clone(),
        );
        registry.register_with_unit("messaging_process_duration", "Records processed", Unit::Seconds, red.process.clone());
        registry.register_collector(Box::new(process::ProcessCollector::default()));
    }
    if config.mode != Mode::Off {
        registry.register("throughline_telemetry_spans", "Spans by what became of them", RED.spans.clone());
        let capacity = ConstGauge::new(i64::try_from(config.queue_size).unwrap_or(i64::MAX));
        registry.register("throughline_telemetry_queue_capacity", "Spans that may wait for export", capacity);
    }
}

fn observe<L>(family: &Latency<L>, labels: &L, value: f64, context: &Context)
where
    L: Clone + std::hash::Hash + Eq,
{
    note(&family.get_or_create(labels), value, context);
}

fn note(histogram: &HistogramWithExemplars<Exemplar>, value: f64, context: &Context) {
    let span = context.span();
    let ids = span.span_context();
    let exemplar = ids.is_sampled().then(|| Exemplar { trace_id: Hex(ids.trace_id()) });
    histogram.observe(value, exemplar, Some(SystemTime::now()));
}

/// An HTTP request was answered; `method` is a known one or `_OTHER`, `route` the pattern, none where no route matched.
pub(crate) fn http_server(method: &'static str, route: Option<&str>, status: u16, body: u64, since: Instant, context: &Context) {
    if !makes_spans() {
        return;
    }
    let labels = HttpLabels {
        http_request_method: method.into(),
        http_response_status_code: status,
        http_route: route.map_or(Cow::Borrowed(""), |route| route.to_owned().into()),
    };
    observe(&RED.http_server, &labels, since.elapsed().as_secs_f64(), context);
    #[expect(clippy::cast_precision_loss, reason = "a size in a histogram")]
    observe(&RED.http_body, &labels, body as f64, context);
}

/// A gRPC call has ended; `method` is `package.Service/Method`, or `_OTHER` where nobody serves it.
pub(crate) fn rpc(side: crate::grpc::Side, method: &str, code: i32, since: Instant, context: &Context) {
    if !makes_spans() {
        return;
    }
    // OBI's label is the path
    let rpc_method = if method == OTHER { OTHER.to_owned() } else { format!("/{method}") };
    let labels = RpcLabels { rpc_method, rpc_system: "grpc".into(), rpc_grpc_status_code: code };
    let family = match side {
        crate::grpc::Side::Server => &RED.rpc_server,
        crate::grpc::Side::Client => &RED.rpc_client,
    };
    observe(family, &labels, since.elapsed().as_secs_f64(), context);
}

/// The latency of one operation, looked up once.
#[derive(Debug)]
pub(crate) struct DbLatency {
    labels: DbLabels,
    histogram: OnceLock<HistogramWithExemplars<Exemplar>>,
}

impl DbLatency {
    pub(crate) fn new(system: &'static str, operation: &str) -> Self {
        let labels = DbLabels { db_operation_name: operation.to_owned(), db_system_name: system.into() };
        Self { labels, histogram: OnceLock::new() }
    }

    /// A statement of a request has ended.
    pub(crate) fn observe(&self, since: Instant, context: &Context) {
        let histogram = self.histogram.get_or_init(|| RED.db.get_or_create_owned(&self.labels));
        note(histogram, since.elapsed().as_secs_f64(), context);
    }
}

/// A command of a request has ended.
pub(crate) fn db(system: &'static str, operation: &str, since: Instant, context: &Context) {
    let labels = DbLabels { db_operation_name: operation.to_owned(), db_system_name: system.into() };
    observe(&RED.db, &labels, since.elapsed().as_secs_f64(), context);
}

/// A record was acknowledged or refused.
pub(crate) fn publish(topic: &str, since: Instant, context: &Context) {
    messaging(&RED.publish, topic, since, context);
}

/// A record was processed.
pub(crate) fn process(topic: &str, since: Instant, context: &Context) {
    messaging(&RED.process, topic, since, context);
}

fn messaging(family: &Latency<MessagingLabels>, topic: &str, since: Instant, context: &Context) {
    if !makes_spans() {
        return;
    }
    let labels = MessagingLabels { messaging_system: "kafka".into(), messaging_destination_name: topic.to_owned() };
    observe(family, &labels, since.elapsed().as_secs_f64(), context);
}

/// Spans have met their fate.
pub(crate) fn count_spans(result: SpanResult, spans: usize) {
    let result = match result {
        SpanResult::Exported => "exported",
        SpanResult::Failed => "failed",
        SpanResult::Dropped => "dropped",
    };
    RED.spans.get_or_create(&ResultLabels { result: result.into() }).inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_latency_carries_its_trace_as_exemplar() {
        let family: Latency<DbLabels> = latency();
        let ids =
            SpanContext::new(TraceId::from_bytes([0xab; 16]), SpanId::from_bytes([1; 8]), TraceFlags::SAMPLED, false, TraceState::NONE);
        let context = Context::new().with_remote_span_context(ids);
        let labels = DbLabels { db_operation_name: "GET".into(), db_system_name: "redis".into() };
        observe(&family, &labels, 0.002, &context);
        let mut registry = Registry::default();
        registry.register_with_unit("db_client_operation_duration", "Time", Unit::Seconds, family);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let line = "db_client_operation_duration_seconds_bucket{le=\"0.005\",db_operation_name=\"GET\",db_system_name=\"redis\"} 1 # {trace_id=\"abababababababababababababababab\"} 0.002";
        assert!(text.contains(line), "{text}");
    }
}
