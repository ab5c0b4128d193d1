//! Memory is bounded by bytes; what goes is the oldest trace, and it is counted.

use meshctl::backend::{Backend, BackendArgs, ByteSize};

use crate::fixture::{batch, fetch, json, keep, span, start_with, text};

#[tokio::test]
async fn the_oldest_traces_go_and_are_counted() {
    let backend = start_with(&["--max-bytes", "64KiB"]).await;
    for trace in 1..=500 {
        let service = if trace <= 100 { "old" } else { "new" };
        keep(&backend, vec![batch(service, "a", vec![span(trace, 1, 0), span(trace, 2, 1)])]);
        assert!(backend.store.stats().bytes <= 64 * 1024);
    }
    let stats = backend.store.stats();
    assert_eq!(stats.spans_received, 1000);
    assert_eq!(stats.spans_dropped, stats.spans_evicted);
    assert_eq!((stats.spans + stats.spans_evicted, stats.traces + stats.traces_evicted), (1000, 500));
    assert!(stats.traces > 50, "a small trace should not be estimated at more than a KiB: {stats:?}");
    assert!(stats.bytes > 60 * 1024, "the bound should be used: {stats:?}");

    assert_eq!(json(&backend, "/api/traces/1").await.0, 404);
    let kept = format!("/api/traces/{:x}", 500);
    assert_eq!(json(&backend, &kept).await.0, 200);
    let (_, services) = json(&backend, "/api/services").await;
    assert_eq!(services["data"], serde_json::json!(["new"]), "names should go with their last span");

    let metrics = fetch(&backend, "/metrics").await.text().await.unwrap();
    let evicted = format!("trace_backend_spans_dropped_total{{reason=\"evicted\"}} {}", stats.spans_evicted);
    for line in [evicted.as_str(), "trace_backend_spans_received_total 1000", "trace_backend_max_bytes 65536", "# EOF"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_trace_larger_than_the_bound_leaves_an_empty_store() {
    let backend = start_with(&["--max-bytes", "64KiB"]).await;
    let mut large = span(2, 1, 0);
    large.attributes.push(text("payload", &"x".repeat(70_000)));
    keep(&backend, vec![batch("orders", "a", vec![span(1, 1, 0)]), batch("orders", "b", vec![large])]);
    let stats = backend.store.stats();
    assert_eq!((stats.spans, stats.traces, stats.bytes, stats.spans_evicted), (0, 0, 0, 2));
    keep(&backend, vec![batch("orders", "a", vec![span(3, 1, 0)])]);
    assert_eq!(backend.store.stats().spans, 1);
}

#[tokio::test]
async fn mistakes_in_the_options_name_them() {
    let running = start_with(&[]).await;
    let args = |page: String, max_bytes| BackendArgs {
        page_address: page.parse().unwrap(),
        otlp_grpc: "127.0.0.1:0".parse().unwrap(),
        otlp_http: "127.0.0.1:0".parse().unwrap(),
        max_bytes: ByteSize(max_bytes),
    };
    let taken = Backend::start(args(running.page_address.to_string(), 1 << 20)).await.unwrap_err();
    let message = format!("{taken:#}");
    assert!(message.contains(&running.page_address.to_string()) && message.contains("--page-address"), "{message}");
    let small = Backend::start(args("127.0.0.1:0".into(), 1000)).await.unwrap_err().to_string();
    assert!(small.contains("--max-bytes") && small.contains("64KiB"), "{small}");
}
