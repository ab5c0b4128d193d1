//! `start`, `stop` and `restart`: single processes of a mesh.

use anyhow::Result;
use serde_json::json;

use super::Names;
use crate::mesh::{Mesh, names};
use crate::secrets::Secrets;
use crate::state::LockedState;
use crate::up::{self, Start};
use crate::{control, obi, output, prometheus};

/// The processes called `asked`, in the order in which they start.
fn in_order(asked: &Names) -> Vec<&'static str> {
    names().filter(|name| asked.names.iter().any(|asked| asked == name)).collect()
}

pub(super) async fn start(mesh: &mut Mesh, asked: &Names, json: bool) -> Result<()> {
    let secrets = up::secrets(mesh)?;
    let state = up::lock(mesh)?;
    mesh.hold(&state.get());
    start_all(mesh, &state, &secrets, &in_order(asked)).await?;
    report(&state, asked, json)
}

async fn start_all(mesh: &Mesh, state: &LockedState, secrets: &Secrets, names: &[&'static str]) -> Result<()> {
    for name in names {
        let step = mesh.progress.step(name, "starting");
        let done = async {
            if *name == prometheus::NAME {
                prometheus::prepare(mesh)?;
            }
            let (recorded, new) = control::start(mesh, state, &mesh.launch(name, secrets)?).await?;
            control::ready(mesh, name, &recorded).await?;
            Ok(if new { "ready" } else { "ready, ran already" })
        };
        match done.await {
            Ok(how) => step.done(how),
            Err(err) => {
                step.failed();
                return Err(err);
            }
        }
    }
    if names.contains(&obi::NAME) { (Start { mesh, state, secrets }).see().await } else { Ok(()) }
}

pub(super) async fn stop(mesh: &Mesh, asked: &Names, json: bool) -> Result<()> {
    let state = up::lock(mesh)?;
    for name in in_order(asked).iter().rev() {
        let stopped = control::stop(mesh, &state, name).await?;
        mesh.progress.say(&format!("{name}: {}", stopped.how));
    }
    report(&state, asked, json)
}

pub(super) async fn restart(mesh: &mut Mesh, asked: &Names, json: bool) -> Result<()> {
    let secrets = up::secrets(mesh)?;
    let state = up::lock(mesh)?;
    mesh.hold(&state.get());
    let ordered = in_order(asked);
    for name in ordered.iter().rev() {
        control::stop(mesh, &state, name).await?;
    }
    start_all(mesh, &state, &secrets, &ordered).await?;
    report(&state, asked, json)
}

fn report(state: &LockedState, asked: &Names, json: bool) -> Result<()> {
    let state = state.get();
    let pid = |name: &str| state.alive(name).map(|recorded| recorded.identity.pid);
    if json {
        let services = in_order(asked).into_iter().map(|name| json!({ "name": name, "pid": pid(name) }));
        return output::json(&json!({ "services": services.collect::<Vec<_>>() }));
    }
    for name in in_order(asked) {
        output::line(&pid(name).map_or(format!("{name} stopped"), |pid| format!("{name} runs (pid {pid})")))?;
    }
    Ok(())
}
