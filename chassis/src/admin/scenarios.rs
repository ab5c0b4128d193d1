//! `/scenarios` on the admin port: GET shows what this process knows of scenarios, `PUT /scenarios/NAME` switches one on in this
//! process alone (`{"set": {"percent": 50}, "for_seconds": 60}`, or nothing), DELETE takes that back. Only who comes from this machine may
//! change anything.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem;
use crate::scenario::{Refusal, Register, state::Settings};

/// The longest that a scenario may be told to last, in seconds: a day.
const LONGEST: u64 = 86_400;

pub(super) fn routes(register: Register) -> Router {
    Router::new().route("/scenarios", get(show)).route("/scenarios/{name}", put(switch_on).delete(switch_off)).with_state(register)
}

async fn show(State(register): State<Register>) -> Response {
    let readings = register.readings();
    let scenarios: Vec<Value> = readings
        .into_iter()
        .map(|reading| {
            json!({
                "name": reading.name, "on": reading.on, "set": reading.settings, "until": reading.until,
                "source": match (reading.on, reading.is_own) { (false, _) => None, (_, true) => Some("admin"), _ => Some("file") },
            })
        })
        .collect();
    Json(json!({ "enabled": register.is_enabled(), "error": register.error(), "scenarios": scenarios })).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    set: Settings,
    for_seconds: Option<u64>,
}

async fn switch_on(
    State(register): State<Register>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    if let Some(refusal) = stranger(peer) {
        return refusal;
    }
    let wanted = match read(&body) {
        Ok(wanted) => wanted,
        Err(reason) => return problem(StatusCode::BAD_REQUEST, &reason),
    };
    let until = wanted.for_seconds.and_then(|seconds| Utc::now().checked_add_signed(TimeDelta::seconds(seconds.try_into().ok()?)));
    match register.switch_on(&name, &wanted.set, until) {
        Ok(()) => show(State(register)).await,
        Err(refusal) => refused(&refusal),
    }
}

async fn switch_off(State(register): State<Register>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Path(name): Path<String>) -> Response {
    if let Some(refusal) = stranger(peer) {
        return refusal;
    }
    match register.switch_off(&name) {
        Ok(()) => show(State(register)).await,
        Err(refusal) => refused(&refusal),
    }
}

fn read(body: &[u8]) -> Result<Wanted, String> {
    if body.is_empty() {
        return Ok(Wanted::default());
    }
    // a list would do for a struct whose fields all have defaults
    let object = serde_json::from_slice(body).map(Value::Object);
    let wanted: Wanted = object
        .and_then(serde_json::from_value)
        .map_err(|error| format!("the body must be {{\"set\": ..., \"for_seconds\": ...}}: {error}"))?;
    match wanted.for_seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => Err(format!("for_seconds must be 1 to {LONGEST}, not {seconds}")),
        _ => Ok(wanted),
    }
}

/// Who asks from elsewhere. `kubectl port-forward` comes from here.
fn stranger(peer: SocketAddr) -> Option<Response> {
    let is_from_here = peer.ip().to_canonical().is_loopback();
    (!is_from_here).then(|| problem(StatusCode::FORBIDDEN, "scenarios are switched from this machine only, or by the file scenarios.state"))
}

fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Disabled => problem(StatusCode::FORBIDDEN, "no scenario can be switched on here: scenarios.enabled is false"),
        Refusal::Unknown(name) => {
            problem(StatusCode::NOT_FOUND, &format!("{name} is no scenario of this service: GET /scenarios names them"))
        }
        Refusal::Invalid(mistakes) => problem(StatusCode::BAD_REQUEST, mistakes),
        Refusal::InFile => problem(StatusCode::CONFLICT, "the file scenarios.state says that it is on"),
    }
}
