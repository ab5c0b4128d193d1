//! `kill`: sending a signal to a process of the mesh, to see what the rest makes of it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::mesh::Mesh;
use crate::output;
use crate::process::{Identity, Life};
use crate::state::State;

/// How long a signal may take to have its effect.
const EFFECT: Duration = Duration::from_secs(10);

/// Sends `signal` to the process called `name` and waits until it has its effect, but for TERM, which only asks. The
/// record stays, so that `status` shows what became of it.
pub(crate) async fn send(mesh: &Mesh, name: &str, signal: &str, json: bool) -> Result<ExitCode> {
    let state = State::read(&mesh.home.state())?;
    let Some(recorded) = state.alive(name) else { bail!("{name} does not run: ./mesh status") };
    let process = recorded.identity;
    if !effective(process, &signal.to_uppercase()).await {
        bail!("{signal} had no effect on {name} (pid {}) within {} s", process.pid, EFFECT.as_secs());
    }
    if json {
        output::json(&json!({ "name": name, "pid": process.pid, "signal": signal }))?;
    } else {
        output::line(&format!("sent {signal} to {name} (pid {})", process.pid))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn effective(process: Identity, signal: &str) -> bool {
    match signal {
        "STOP" => process.drive_out(Life::Running, Signal::SIGSTOP, EFFECT).await,
        "CONT" => process.drive_out(Life::Paused, Signal::SIGCONT, EFFECT).await,
        "TERM" => process.signal(Signal::SIGTERM),
        _ => {
            let mut all = process.descendants();
            all.push(process);
            for process in &all {
                process.signal(Signal::SIGKILL);
            }
            crate::process::all_gone(&all, EFFECT).await
        }
    }
}
