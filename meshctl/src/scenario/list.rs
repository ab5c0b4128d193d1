//! What there is, and what is on.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use chassis::scenario::{definition::Definitions, state::Active};
use chrono::Utc;
use comfy_table::{ContentArrangement, Table, presets};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{ask, demand_up, switch};
use crate::mesh::Mesh;
use crate::output;
use crate::services::SERVICES;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let preset = if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(header.to_vec());
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Every scenario, by its file and the file of what is on.
pub(super) fn list(mesh: &Mesh, definitions: &Definitions, json: bool) -> Result<ExitCode> {
    let on = switch::read(mesh, definitions)?.on;
    let active = |name| on.iter().find(|active: &&Active| active.name == name && !active.is_over(Utc::now()));
    if json {
        let all: Vec<Value> = definitions
            .values()
            .map(|definition| {
                let active = active(definition.name);
                json!({
                    "name": definition.name, "summary": definition.summary, "services": definition.services,
                    "parameters": definition.parameters, "on": active.is_some(),
                    "set": active.map(|active| &active.set), "until": active.and_then(|active| active.until),
                })
            })
            .collect();
        output::json(&json!({ "scenarios": all }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["scenario", "on", "services", "parameters", "what goes wrong"]);
    for definition in definitions.values() {
        let parameters: Vec<String> =
            definition.parameters.iter().map(|(name, parameter)| format!("{name}={}", parameter.default())).collect();
        let on = active(definition.name).map_or_else(|| "-".to_owned(), ends);
        table.add_row([
            definition.name.name().to_owned(),
            on,
            definition.services.join(", "),
            parameters.join(" "),
            definition.summary.clone(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn ends(active: &Active) -> String {
    active.until.map_or_else(|| "on".to_owned(), |until| format!("{} s more", (until - Utc::now()).num_seconds().max(0)))
}

/// What each service makes of it. Exit code 1 where one does not answer or does not heed the files.
pub(super) async fn status(mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let state = demand_up(mesh)?;
    let running = SERVICES.iter().filter(|service| state.alive(service.name).is_some());
    let answers: Vec<(&str, Result<Value>)> =
        join_all(running.map(|service| async move { (service.name, ask(mesh, service.name).await) })).await;
    let is_fine = answers.iter().all(|(_, answer)| answer.as_ref().is_ok_and(|answer| answer["error"].is_null()));
    let code = ExitCode::from(u8::from(!is_fine));
    if json {
        let services: Vec<Value> = answers
            .into_iter()
            .map(|(name, answer)| match answer {
                Ok(answer) => {
                    json!({ "service": name, "enabled": answer["enabled"], "error": answer["error"], "scenarios": answer["scenarios"] })
                }
                Err(error) => json!({ "service": name, "error": format!("{error:#}"), "scenarios": [] }),
            })
            .collect();
        output::json(&json!({ "services": services }))?;
        return Ok(code);
    }
    let mut table = table(&["service", "scenario", "state", "set", "until"]);
    let mut errors = Vec::new();
    for (name, answer) in &answers {
        match answer {
            Err(error) => errors.push(format!("{name}: {error:#}")),
            Ok(answer) => {
                errors.extend(answer["error"].as_str().map(|error| format!("{name} keeps what held before: {error}")));
                for scenario in answer["scenarios"].as_array().into_iter().flatten() {
                    table.add_row(row(name, scenario));
                }
            }
        }
    }
    output::line(&table.to_string())?;
    for error in errors {
        output::line(&error)?;
    }
    Ok(code)
}

fn row(service: &str, scenario: &Value) -> [String; 5] {
    let text = |key: &str| scenario[key].as_str().unwrap_or("-").to_owned();
    let set = scenario["set"].as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", plain(value)));
    let state = match (scenario["on"].as_bool(), scenario["source"].as_str()) {
        (Some(true), Some("admin")) => "on, here alone",
        (Some(true), _) => "on",
        _ => "off",
    };
    [service.to_owned(), text("name"), state.to_owned(), set.collect::<Vec<_>>().join(" "), text("until")]
}

/// A JSON value as a person writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string()), str::to_owned)
}
