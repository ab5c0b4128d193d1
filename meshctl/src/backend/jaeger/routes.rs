//! The routes of Jaeger's query API.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

use super::{
    model::{Answer, Failure, Trace},
    params::Params,
    translate,
};
use crate::backend::{id::TraceId, query, store::Store};

type Pairs = Query<Vec<(String, String)>>;

/// Trace by id, search, services, operations and dependencies over the store.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/api/traces/{id}", get(trace))
        .route("/api/traces", get(traces))
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/dependencies", get(dependencies))
        .with_state(store)
}

async fn trace(State(store): State<Arc<Store>>, Path(id): Path<String>) -> Response {
    match id.parse::<TraceId>() {
        Err(error) => failure(StatusCode::BAD_REQUEST, error.to_string()),
        Ok(id) => match store.trace(id) {
            Some(spans) => answer(vec![translate::trace(id, &spans)], 0),
            None => failure(StatusCode::NOT_FOUND, "trace not found".to_owned()),
        },
    }
}

async fn traces(State(store): State<Arc<Store>>, Query(pairs): Pairs) -> Response {
    let params = Params(pairs);
    let ids = match params.trace_ids() {
        Ok(ids) if ids.is_empty() => return search(&store, &params).await,
        Ok(ids) => ids,
        Err(error) => return failure(StatusCode::BAD_REQUEST, error),
    };
    by_ids(&store, &ids)
}

fn by_ids(store: &Store, ids: &[TraceId]) -> Response {
    let mut found: Vec<Trace> = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        match store.trace(*id) {
            Some(spans) => found.push(translate::trace(*id, &spans)),
            None => {
                missing.push(Failure { code: 0, msg: "trace not found".to_owned(), trace: Some(id.to_string()) });
            }
        }
    }
    let errors = (!missing.is_empty()).then_some(missing);
    Json(Answer { errors, ..Answer::new(found, 0) }).into_response()
}

async fn search(store: &Store, params: &Params) -> Response {
    match params.filter(now()) {
        Err(error) => failure(StatusCode::BAD_REQUEST, error),
        Ok(filter) => {
            let found = query::search(store, &filter).await.traces;
            answer(found.iter().map(|(id, spans)| translate::trace(*id, spans)).collect::<Vec<_>>(), 0)
        }
    }
}

async fn services(State(store): State<Arc<Store>>) -> Response {
    let names = store.services();
    let total = names.len();
    answer(names, total)
}

async fn operation_names(State(store): State<Arc<Store>>, Path(service): Path<String>) -> Response {
    let names: BTreeSet<String> = store.operations(&service).into_iter().map(|operation| operation.name).collect();
    let total = names.len();
    answer(names, total)
}

async fn operations(State(store): State<Arc<Store>>, Query(pairs): Pairs) -> Response {
    let params = Params(pairs);
    let Some(service) = params.first("service") else {
        return failure(StatusCode::BAD_REQUEST, "parameter 'service' is required".to_owned());
    };
    let kind = params.first("spanKind");
    let mut found = store.operations(service);
    found.retain(|operation| kind.is_none_or(|kind| kind == operation.kind));
    let total = found.len();
    answer(found, total)
}

async fn dependencies(State(store): State<Arc<Store>>, Query(pairs): Pairs) -> Response {
    let params = Params(pairs);
    match params.window(now()) {
        Err(error) => failure(StatusCode::BAD_REQUEST, error),
        Ok(window) => answer(query::dependencies(&store, window, params.first("service")).await, 0),
    }
}

/// Nanoseconds since the Unix epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn answer<T: Serialize>(data: T, total: usize) -> Response {
    Json(Answer::new(data, total)).into_response()
}

fn failure(status: StatusCode, msg: String) -> Response {
    let errors = Some(vec![Failure { code: status.as_u16(), msg, trace: None }]);
    let body: Answer<()> = Answer { data: None, total: 0, limit: 0, offset: 0, errors };
    (status, Json(body)).into_response()
}
