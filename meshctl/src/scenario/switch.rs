//! Switching: the file that all services watch is replaced in one step, and then they are asked what they made of it.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chassis::scenario::{
    definition::Definitions,
    state::{Active, State},
};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{OnArgs, ask, demand_up, find, state_file};
use crate::mesh::Mesh;
use crate::{failure, output, up};

/// How long the services may take to heed the file: they look several times a second.
const HEEDED: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// What the file says; nothing where there is none.
pub(super) fn read(mesh: &Mesh, definitions: &Definitions) -> Result<State> {
    let file = state_file(mesh);
    match fs::read_to_string(&file) {
        Ok(text) => State::read(&text, definitions).map_err(|error| failure::usage(format!("{}: {error}", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn write(mesh: &Mesh, state: &State) -> Result<()> {
    let file = state_file(mesh);
    let next = file.with_extension("next");
    let text = format!("{}\n", serde_json::to_string_pretty(state)?);
    fs::write(&next, text).and_then(|()| fs::rename(&next, &file)).with_context(|| format!("cannot write {}", file.display()))
}

/// Switches one on, and waits until every service that it is about says so.
pub(super) async fn on(mesh: &Mesh, definitions: &Definitions, args: OnArgs, json: bool) -> Result<ExitCode> {
    let definition = find(definitions, &args.name)?;
    let mut wanted = std::collections::BTreeMap::new();
    for (key, value) in args.set {
        if wanted.insert(key.clone(), value).is_some() {
            return Err(failure::usage(format!("{key} is set twice")));
        }
    }
    let settings =
        definition.settings(&wanted).map_err(|mistakes| failure::usage(format!("{}: {}", definition.name, mistakes.join("; "))))?;
    let until = match args.lasting {
        Some(lasting) if lasting.is_zero() => return Err(failure::usage("--for must be more than nothing")),
        Some(lasting) => Some(Utc::now() + TimeDelta::from_std(lasting).map_err(|_| failure::usage("--for is too long"))?),
        None => None,
    };
    demand_up(mesh)?;
    {
        let _held = up::lock(mesh)?;
        let mut state = read(mesh, definitions)?;
        state.on.retain(|active| active.name != definition.name && !active.is_over(Utc::now()));
        state.on.push(Active { name: definition.name, set: settings.clone(), until });
        write(mesh, &state)?;
    }
    let expected = json!({ "on": true, "set": settings });
    heeded(mesh, definition.name.name(), &definition.services, &expected).await?;
    if json {
        output::json(&json!({ "on": [definition.name], "set": settings, "until": until, "services": definition.services }))?;
    } else {
        let end = until.map(|until| format!(" until {}", until.format("%H:%M:%S UTC"))).unwrap_or_default();
        let told = settings.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        output::line(&format!("{} is on in {}{end}{told}", definition.name, definition.services.join(", ")))?;
        mesh.progress.say(&format!("it shows under: {}", definition.load.trim()));
        mesh.progress.say(&format!("./mesh scenario explain {0} | ./mesh scenario check {0} | ./mesh scenario off {0}", definition.name));
    }
    Ok(ExitCode::SUCCESS)
}

/// Switches those off, or all, and waits until every service says so.
pub(super) async fn off(mesh: &Mesh, definitions: &Definitions, names: &[String], json: bool) -> Result<ExitCode> {
    let asked: Vec<_> = names.iter().map(|name| Ok(find(definitions, name)?.name)).collect::<Result<_>>()?;
    demand_up(mesh)?;
    let mut ended = Vec::new();
    {
        let _held = up::lock(mesh)?;
        // a file that cannot be read is no reason to leave faults on
        let state = if names.is_empty() { read(mesh, definitions).unwrap_or_default() } else { read(mesh, definitions)? };
        let (off, on): (Vec<_>, Vec<_>) = state.on.into_iter().partition(|active| names.is_empty() || asked.contains(&active.name));
        ended.extend(off.into_iter().filter(|active| !active.is_over(Utc::now())).map(|active| active.name));
        write(mesh, &State { on })?;
    }
    for name in if names.is_empty() { definitions.keys().copied().collect() } else { asked } {
        if let Some(definition) = definitions.get(&name) {
            heeded(mesh, name.name(), &definition.services, &json!({ "on": false })).await?;
        }
    }
    if json {
        output::json(&json!({ "off": ended }))?;
    } else if ended.is_empty() {
        output::line("nothing was on")?;
    } else {
        output::line(&format!("off: {}", ended.iter().map(|name| name.name()).collect::<Vec<_>>().join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until the services, as far as they run, say of the scenario what is expected.
async fn heeded(mesh: &Mesh, name: &str, services: &[String], expected: &Value) -> Result<()> {
    let state = demand_up(mesh)?;
    for service in services.iter().filter(|service| state.alive(service).is_some()) {
        let deadline = Instant::now() + HEEDED;
        loop {
            let said = ask(mesh, service).await?;
            let scenario = said["scenarios"].as_array().into_iter().flatten().find(|scenario| scenario["name"] == name).cloned();
            if said["enabled"] == false {
                bail!("{service} has scenarios.enabled = false");
            }
            let is_so = |scenario: &Value| expected.as_object().is_some_and(|all| all.iter().all(|(key, value)| scenario[key] == *value));
            if scenario.as_ref().is_some_and(is_so) {
                break;
            }
            if Instant::now() >= deadline {
                let why = said["error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
                let own = scenario.filter(|scenario| scenario["source"] == "admin").map(|_| " (its own admin port says otherwise)");
                bail!("{service} does not heed {}{}{why}", state_file(mesh).display(), own.unwrap_or_default());
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}
