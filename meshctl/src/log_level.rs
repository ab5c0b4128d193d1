//! `log-level`: what a running service logs, shown or changed through its admin port.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::mesh::Mesh;
use crate::state::State;
use crate::{failure, output, services};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows the level of the service called `name`, after changing it where `level` is given.
pub(crate) async fn run(mesh: &Mesh, name: &str, level: Option<&str>, json: bool) -> Result<ExitCode> {
    if State::read(&mesh.home.state())?.alive(name).is_none() {
        bail!("{name} does not run: ./mesh status");
    }
    let service = services::find(name).with_context(|| format!("{name} is no service"))?;
    let url = format!("{}/log-level", service.admin(&mesh.ports));
    let request = match level {
        Some(level) => mesh.http.put(url).body(level.to_owned()),
        None => mesh.http.get(url),
    };
    let now = ask(name, request).await?;
    if json {
        output::json(&serde_json::json!({ "service": name, "level": now["level"], "live": now["live"] }))?;
    } else {
        output::line(&format!("{name} logs {}", now["level"].as_str().unwrap_or("nothing")))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(name: &str, request: RequestBuilder) -> Result<Value> {
    let answer = request.timeout(PATIENCE).send().await.with_context(|| format!("{name} does not answer on its admin port"))?;
    let status = answer.status();
    let body: Value = answer.json().await.with_context(|| format!("{name} answered {status} and no JSON"))?;
    if status.is_success() {
        return Ok(body);
    }
    let detail = body["detail"].as_str().unwrap_or_default();
    match status {
        StatusCode::BAD_REQUEST => Err(failure::usage(detail)),
        _ => bail!("{name} refuses ({status}): {detail}"),
    }
}
