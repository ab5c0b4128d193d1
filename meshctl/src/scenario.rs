//! `scenario`: faults on purpose, switched on and off while the mesh runs, and whether their symptoms are there.

mod check;
mod explain;
mod list;
mod switch;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use chassis::scenario::{
    Scenario,
    definition::{self, Definition, Definitions},
    state::Value,
};
use clap::{Args, Subcommand};
use reqwest::StatusCode;
use serde_json::Value as Json;

use crate::mesh::Mesh;
use crate::services::SERVICES;
use crate::state::State;
use crate::verify::args;
use crate::{failure, services};

/// How long an admin port may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The scenarios are files in deploy/scenarios; docs/scenarios.md is about all of them.
#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every scenario, and which are on
    List,
    /// Switch a scenario on in all services that it is about; again, with other parameters, where it is on already
    On(OnArgs),
    /// Switch scenarios off: those that are named, or all
    Off {
        /// Scenarios
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Show what each service makes of it
    Status,
    /// Tell what a scenario does, what it looks like in telemetry, and how to find its cause
    Explain {
        /// A scenario
        name: String,
    },
    /// Look for the symptoms of a scenario now; exit code 1 where one of them is not there
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct OnArgs {
    /// A scenario
    name: String,
    /// A parameter, where it should differ from its default; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// Switch it off by itself after this time: 30s, 5m
    #[arg(long = "for", value_name = "TIME", value_parser = args::duration)]
    lasting: Option<Duration>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// A scenario
    name: String,
    /// How far back to look
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = args::duration)]
    window: Duration,
    /// Demand that its alerts fire, too: the rules' own times have to pass first
    #[arg(long)]
    alerts: bool,
    /// A Prometheus, Mimir included [default: the mesh's own]
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// A Jaeger query API [default: the mesh's own backend]
    #[arg(long, value_name = "URL")]
    traces: Option<String>,
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE, such as percent=50")?;
    Ok((key.to_owned(), Value::of(value)))
}

/// The folder with a file for each scenario.
pub(crate) fn directory(mesh: &Mesh) -> PathBuf {
    match mesh.settings.scenarios.directory.as_str() {
        "" => mesh.home.repository().join("deploy/scenarios"),
        folder => std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder)),
    }
}

/// The file that says which are on.
pub(crate) fn state_file(mesh: &Mesh) -> PathBuf {
    mesh.home.root().join("scenarios.yaml")
}

/// From now on none is on, for those who start.
pub(crate) fn forget(mesh: &Mesh) -> Result<()> {
    match fs::remove_file(state_file(mesh)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Does what the command line says.
pub(crate) async fn run(args: ScenarioArgs, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let definitions = definition::read(&directory(mesh)).map_err(|mistakes| {
        let all = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        failure::usage(all)
    })?;
    match args.action {
        Action::List => list::list(mesh, &definitions, json),
        Action::On(args) => switch::on(mesh, &definitions, args, json).await,
        Action::Off { names } => switch::off(mesh, &definitions, &names, json).await,
        Action::Status => list::status(mesh, json).await,
        Action::Explain { name } => explain::explain(find(&definitions, &name)?, json),
        Action::Check(args) => check::check(mesh, find(&definitions, &args.name)?, &args, json).await,
    }
}

fn find<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Definition> {
    let known = || definitions.keys().map(|scenario| scenario.name()).collect::<Vec<_>>().join(", ");
    let found = Scenario::named(name).and_then(|scenario| definitions.get(&scenario));
    found.ok_or_else(|| failure::usage(format!("{name} is no scenario; there are {}", known())))
}

/// Nothing is switched or looked for where nothing runs.
fn demand_up(mesh: &Mesh) -> Result<State> {
    let state = State::read(&mesh.home.state())?;
    if SERVICES.iter().all(|service| state.alive(service.name).is_none()) {
        bail!("no service of this mesh runs: ./mesh up starts it");
    }
    Ok(state)
}

/// What a service says on `/scenarios`.
async fn ask(mesh: &Mesh, name: &str) -> Result<Json> {
    let Some(service) = services::find(name) else { bail!("{name} is no service of this mesh") };
    let answer = mesh.http.get(format!("{}/scenarios", service.admin(&mesh.ports))).timeout(PATIENCE).send().await?;
    match answer.status() {
        StatusCode::OK => Ok(answer.json().await?),
        status => bail!("{name} answered {status} on its admin port"),
    }
}
