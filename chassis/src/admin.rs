//! The admin port: `/livez`, `/readyz` (Kubernetes' names) and `/metrics` (OpenMetrics).

use std::{net::TcpListener, sync::PoisonError};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::encoding::text::encode;

use crate::Process;

/// Serves until the process stops.
pub(crate) async fn serve(listener: TcpListener, process: Process) -> std::io::Result<()> {
    let shutdown = process.shutdown.clone();
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(process);
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
    let registry = process.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
