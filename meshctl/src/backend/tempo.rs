//! Tempo's query API under `/tempo`: trace by id (v1 and v2), search by tags, and echo, which is what Grafana probes.
//!
//! Protobuf is wire-compatible with Tempo. JSON is OTLP/JSON, ids in hex, as Tempo documents it; the Tempo of today
//! writes the ids of these answers in base64 (its issue 5437). `TraceQL` is not understood: `q=` is refused.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use prost::Message;
use serde_json::{Value, json};

use super::{
    id::TraceId,
    jaeger::params::Params,
    query::{self, Filter},
    record::Snapshot,
    store::Store,
};

/// Traces that a search returns unless `limit` says otherwise, as in Tempo.
const DEFAULT_LIMIT: usize = 20;
const NANOS: u64 = 1_000_000_000;

/// `tempopb.TraceByIDResponse`; its metrics are left out, and a status of 0 is `COMPLETE`.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

/// Tempo's routes, to be nested under `/tempo`.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/api/echo", get(|| async { "echo" }))
        .route("/api/traces/{id}", get(trace_v1))
        .route("/api/v2/traces/{id}", get(trace_v2))
        .route("/api/search", get(search))
        .with_state(store)
}

async fn trace_v1(State(store): State<Arc<Store>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    answer(&store, &id, &headers, |trace| trace, |spans| json!({ "batches": spans }))
}

async fn trace_v2(State(store): State<Arc<Store>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let json = |spans| json!({ "trace": { "resourceSpans": spans }, "status": "COMPLETE", "message": "" });
    answer(&store, &id, &headers, |trace| TraceByIdResponse { trace: Some(trace) }, json)
}

fn answer<M: Message>(
    store: &Store,
    id: &str,
    headers: &HeaderMap,
    message: impl FnOnce(TracesData) -> M,
    json: impl FnOnce(Vec<ResourceSpans>) -> Value,
) -> Response {
    let id = match id.parse::<TraceId>() {
        Ok(id) => id,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Some(spans) = store.trace(id) else {
        return (StatusCode::NOT_FOUND, "trace not found").into_response();
    };
    let resource_spans = batches(&spans);
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    if accepts.contains("application/protobuf") {
        let body = message(TracesData { resource_spans }).encode_to_vec();
        ([(header::CONTENT_TYPE, "application/protobuf")], body).into_response()
    } else {
        Json(json(resource_spans)).into_response()
    }
}

/// Groups the spans by resource and scope, in order of each group's first span.
fn batches(spans: &Snapshot) -> Vec<ResourceSpans> {
    let mut batches: Vec<(Arc<[u8]>, ResourceSpans)> = Vec::new();
    for (_, record) in spans {
        let key = record.source.envelope();
        let place = batches.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            batches.push((Arc::clone(key), record.source.open()));
            batches.len() - 1
        });
        if let Some(scope) = batches[place].1.scope_spans.first_mut() {
            scope.spans.push(record.open());
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

async fn search(State(store): State<Arc<Store>>, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let filter = match filter(&Params(pairs)) {
        Ok(filter) => filter,
        Err(error) => return (StatusCode::BAD_REQUEST, error).into_response(),
    };
    let found = query::search(&store, &filter).await;
    let traces: Vec<Value> = found.traces.iter().map(|(id, spans)| summary(*id, spans)).collect();
    Json(json!({ "traces": traces, "metrics": { "inspectedTraces": found.inspected } })).into_response()
}

/// `tags=key=value key="a b"`, `minDuration`, `maxDuration`, `start` and `end` (seconds), `limit`.
fn filter(params: &Params) -> Result<Filter, String> {
    if params.first("q").is_some_and(|query| query.trim() != "{}") {
        return Err("q: TraceQL is not supported here: search with tags=key=value".to_owned());
    }
    let seconds = |name| Ok::<_, String>(params.number(name)?.map(|seconds: u64| seconds.saturating_mul(NANOS)));
    let tags = logfmt(params.first("tags").unwrap_or(""))?;
    let (service, tags): (Vec<_>, Vec<_>) = tags.into_iter().partition(|(key, _)| key == "service.name");
    Ok(Filter {
        service: service.into_iter().next().map(|(_, value)| value),
        operation: None,
        tags,
        start: (seconds("start")?.unwrap_or(0), seconds("end")?.unwrap_or(u64::MAX)),
        duration: (params.duration("minDuration")?.unwrap_or(0), params.duration("maxDuration")?.unwrap_or(u64::MAX)),
        limit: params.limit(DEFAULT_LIMIT)?,
    })
}

fn logfmt(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let wrong = || format!("tags: {rest:?} is not key=value or key=\"a value\"");
        let (key, after) = rest.split_once('=').ok_or_else(wrong)?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(wrong)?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        tags.push((key.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok(tags)
}

fn summary(id: TraceId, spans: &Snapshot) -> Value {
    let start = spans.iter().map(|(_, record)| record.start).min().unwrap_or(0);
    let end = spans.iter().map(|(_, record)| record.end).max().unwrap_or(start);
    let mut summary = json!({
        "traceID": id.to_string(),
        "startTimeUnixNano": start.to_string(),
        "durationMs": end.saturating_sub(start) / 1_000_000,
    });
    match spans.iter().find(|(_, record)| record.parent == 0) {
        Some((_, root)) => {
            summary["rootServiceName"] = json!(&*root.source.service);
            summary["rootTraceName"] = json!(&*root.name);
        }
        None => summary["rootServiceName"] = json!("<root span not yet received>"),
    }
    summary
}
