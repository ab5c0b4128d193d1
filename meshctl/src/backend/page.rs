//! The page port: query APIs, health, counters, and Jaeger's page for everything else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use otlp_embedded::{Config, State as PageState, ui_app};
use prometheus_client::registry::Registry;

use super::{jaeger, metrics, store::Store, tempo};

/// Everything that the page port answers; `/readyz` follows `ready`.
pub(crate) fn router(store: &Arc<Store>, ready: Arc<AtomicBool>) -> Router {
    let registry = Arc::new(metrics::registry(Arc::clone(store)));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(ready)
        .route("/metrics", get(scrape).with_state(registry))
        .route("/api/stats", get(stats).with_state(Arc::clone(store)))
        .merge(jaeger::routes::router(Arc::clone(store)))
        .nest("/tempo", tempo::router(Arc::clone(store)))
        .fallback_service(page())
}

async fn readyz(State(ready): State<Arc<AtomicBool>>) -> Response {
    if ready.load(Ordering::Acquire) { "ready\n".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response() }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    match metrics::render(&registry) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn stats(State(store): State<Arc<Store>>) -> Response {
    Json(store.stats()).into_response()
}

/// Jaeger's page out of the crate that carries it. The crate's own store stays empty: the page asks our `/api`.
fn page() -> Router {
    let unused = PageState::new(Config { max_length: 0, max_memory_usage: 0 });
    ui_app(unused, "/").layer(from_fn(page_status))
}

/// The crate sends the page for a client-side route as 307 without a location, which curl and proxies take for an error.
async fn page_status(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::TEMPORARY_REDIRECT && !response.headers().contains_key(header::LOCATION) {
        *response.status_mut() = StatusCode::OK;
    }
    response
}
