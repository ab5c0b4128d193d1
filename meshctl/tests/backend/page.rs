//! The page port beside the query APIs: Jaeger's page, health, and a stop that says so.

use std::time::Duration;

use tokio::time::timeout;

use crate::fixture::{batch, fetch, json, keep, span, start};

#[tokio::test]
async fn every_route_of_the_page_answers_with_jaegers_page() {
    let backend = start().await;
    for path in ["/", "/search", "/trace/00000000000000000000000000000001", "/dependencies"] {
        let response = fetch(&backend, path).await;
        assert_eq!(response.status(), 200, "{path}");
        let html = response.text().await.unwrap();
        assert!(html.contains("<title>Jaeger UI</title>") && html.contains("<base href=\"/\""), "{path}");
    }
    let html = fetch(&backend, "/").await.text().await.unwrap();
    let script = html.split("src=\".").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let script = fetch(&backend, script).await;
    assert_eq!(script.status(), 200);
    assert!(script.headers()["content-type"].to_str().unwrap().contains("javascript"));
    assert_eq!(fetch(&backend, "/static/nothing.js").await.status(), 404);
    assert_eq!(fetch(&backend, "/api/metrics/calls").await.status(), 404);
}

#[tokio::test]
async fn health_and_statistics() {
    let backend = start().await;
    keep(&backend, vec![batch("orders", "a", vec![span(1, 1, 0)])]);
    assert_eq!(fetch(&backend, "/livez").await.status(), 200);
    assert_eq!(fetch(&backend, "/readyz").await.status(), 200);
    let (_, stats) = json(&backend, "/api/stats").await;
    assert_eq!((stats["spans"].as_u64(), stats["max_bytes"].as_u64()), (Some(1), Some(256 << 20)));
    let metrics = fetch(&backend, "/metrics").await;
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_frees_the_ports() {
    let backend = start().await;
    let address = backend.otlp_grpc;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    timeout(Duration::from_secs(5), backend.shutdown()).await.unwrap();
    drop(channel);
    tokio::net::TcpListener::bind(address).await.unwrap();
}
