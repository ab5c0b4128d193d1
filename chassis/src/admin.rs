//! The admin port: `/livez`, `/readyz` (Kubernetes' names), `/metrics` (OpenMetrics), `/log-level` and `/scenarios`.

mod log_level;
mod scenarios;

use std::net::{SocketAddr, TcpListener};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::encoding::text::encode;
use serde_json::json;
use telemetry::logs::LogConfig;

use crate::{Process, scenario::Register};

/// Bytes of a request.
const MAX_BODY: usize = 4 << 10;

/// Serves until the process stops.
pub(crate) async fn serve(listener: TcpListener, process: Process, log: LogConfig, scenarios: Register) -> std::io::Result<()> {
    let shutdown = process.shutdown.clone();
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(process)
        .merge(log_level::routes(&log))
        .merge(scenarios::routes(scenarios))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
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

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
