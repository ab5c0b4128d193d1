//! A backend that is away: nobody is held up, and every span is accounted for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use prometheus_client::{encoding::text::encode, registry::Registry};
use telemetry::{TelemetryConfig, context::TraceContext, kafka::SendSpan};

const SPANS: u64 = 5_000;
const QUEUE: usize = 100;

fn count(registry: &Registry, result: &str) -> u64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let line = format!("throughline_telemetry_spans_total{{result=\"{result}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_for_which_there_is_no_room_or_no_backend_are_counted_and_hold_nobody_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = TelemetryConfig {
        otlp_endpoint: format!("http://{address}"),
        otlp_timeout_ms: 300,
        queue_size: QUEUE,
        batch_size: 50,
        export_interval_ms: 20,
        ..TelemetryConfig::default()
    };
    let mut registry = Registry::default();
    telemetry::metrics::register(&mut registry, &config);
    let telemetry = telemetry::start(&config, "tested").unwrap();

    let begun = Instant::now();
    for _ in 0..SPANS {
        SendSpan::below(&TraceContext::default(), "orders.created", Some("key")).failed("nobody");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{SPANS} spans took {:?}", begun.elapsed());
    tokio::task::block_in_place(|| telemetry.shutdown());

    let (exported, failed, dropped) = (count(&registry, "exported"), count(&registry, "failed"), count(&registry, "dropped"));
    assert_eq!((exported, failed + dropped), (0, SPANS), "{failed} failed, {dropped} dropped");
    assert!(dropped > 0 && failed > 0, "{failed} failed, {dropped} dropped");
}
