//! The admin port: `/livez`, `/readyz` (Kubernetes' names), `/metrics` (OpenMetrics) and `/log-level`.

mod log_level;

use std::net::TcpListener;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::encoding::text::encode;
use telemetry::logs::LogConfig;

use crate::Process;

/// Serves until the process stops.
pub(crate) async fn serve(listener: TcpListener, process: Process, log: LogConfig) -> std::io::Result<()> {
    let shutdown = process.shutdown.clone();
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(process)
        .merge(log_level::routes(&log));
    axum::serve(tokio::net::TcpListener::from_std(listener)?, app).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
}

async fn ready(State(process): State<Process>) -> Response {
    if process.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let failures = process.readiness.failures().await;
    if failures.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = failures.iter().map(|(name, reason)| format!("{name}: {reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics(State(process): State<Process>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &process.registry()) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
