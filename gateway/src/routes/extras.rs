//! What is left: health, the callers' own limiter, live events, and routes for trying things out.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};

use crate::{
    body::Body,
    caller::{By, Caller},
    diagnostics::{ErrorQuery, Slow, SlowQuery},
    error::Error,
    events::{self, EventQuery},
    limits::{Lasting, Shared},
    query::InQuery,
    upstream::{Calls, health::Health},
    window::{Check, Checked},
};

/// Whether the services behind serve. Always 200: who answers is up.
#[utoipa::path(get, path = "/api/v1/health", tag = "operation", responses((status = 200, description = "Each service's state", body = Health)))]
pub(super) async fn health(calls: Calls) -> Json<Health> {
    Json(calls.health().await)
}

/// Takes a place in a sliding window of the caller's; 429 where none is free.
#[utoipa::path(post, path = "/api/v1/rate-limit/check", tag = "operation", security(("bearer" = [])), request_body = Check,
    responses((status = 200, description = "A place was free", body = Checked)))]
pub(super) async fn check_rate_limit(calls: Calls, by: By<Caller, Body<Check>>) -> Result<Json<Checked>, Error> {
    let answer = calls.check_rate_limit(by.input.0.into_request(&by.who)).await?;
    Ok(Json(answer.try_into()?))
}

type Listen = (InQuery<EventQuery>, Lasting);

/// What happens to users and sessions from now on: the caller's own, everybody's for admins.
#[utoipa::path(get, path = "/api/v1/events", tag = "operation", security(("bearer" = [])), params(EventQuery),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream")))]
pub(super) async fn live_events(calls: Calls, shared: Data<Shared>, by: By<Caller, Listen>) -> Result<HttpResponse, Error> {
    let (InQuery(query), Lasting) = by.input;
    let events = calls.stream_events(query.into()).await?;
    Ok(events::answer(events, shared.shutdown.clone()))
}

/// Takes its time. Off in production.
#[utoipa::path(get, path = "/api/v1/slow", tag = "diagnostics", params(SlowQuery), responses((status = 200, description = "After the wait", body = Slow)))]
pub(super) async fn slow(query: InQuery<SlowQuery>) -> Json<Slow> {
    Json(query.0.wait().await)
}

/// An error of the status that is asked for. Off in production.
#[utoipa::path(get, path = "/api/v1/error", tag = "diagnostics", params(ErrorQuery), responses())]
pub(super) async fn error(query: InQuery<ErrorQuery>) -> Result<HttpResponse, Error> {
    Err(query.0.into())
}
