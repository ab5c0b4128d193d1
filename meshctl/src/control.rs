//! Starting and stopping single processes of a mesh, and waiting until they answer.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::launch::Launch;
use crate::mesh::{Mesh, ports_of};
use crate::process::{Ended, Life};
use crate::state::{LockedState, Recorded};
use crate::{kafka, obi, ports, probe, tool};

/// How often a process that is starting is asked whether it answers.
const POLL: Duration = Duration::from_millis(50);

/// What the broker gets on top to write its archive of classes, once.
const ARCHIVING: Duration = Duration::from_secs(30);

/// A process that ended when it was asked to.
#[derive(Debug, Serialize)]
pub(crate) struct Stopped {
    /// Its name.
    pub(crate) name: String,
    /// `stopped`, `killed` (it did not stop in time) or `gone` (it was not there any more).
    pub(crate) how: &'static str,
}

/// Starts what `launch` describes and records it. A process that already runs from the same launch is kept (and
/// continued if it was paused); one from another launch is replaced. True if a new process was started.
pub(crate) async fn start(mesh: &Mesh, state: &LockedState, launch: &Launch) -> Result<(Recorded, bool)> {
    if let Some(recorded) = state.get().processes.get(launch.name).cloned() {
        let deadline = Duration::from_secs(mesh.settings.deadlines.stop);
        if recorded.life() == Life::Gone {
            recorded.identity.vanished(deadline).await;
        } else if recorded.fingerprint == launch.fingerprint() {
            recorded.identity.signal_all(Signal::SIGCONT);
            return Ok((recorded, false));
        } else {
            stop(mesh, state, launch.name).await?;
        }
    }
    let taken = ports::taken(&ports_of(launch.name, &mesh.ports));
    if !taken.is_empty() {
        bail!("{}", taken.join("\n"));
    }
    let recorded = launch.spawn(&mesh.home.log(launch.name))?;
    state.change(|state| drop(state.processes.insert(launch.name.to_owned(), recorded.clone())))?;
    Ok((recorded, true))
}

/// Waits until the process answers. Fails when it dies first, or does not answer within the deadline, with its last
/// lines.
pub(crate) async fn ready(mesh: &Mesh, name: &str, recorded: &Recorded) -> Result<()> {
    let seconds = mesh.settings.deadlines.start;
    let end = Instant::now() + Duration::from_secs(seconds);
    let log = mesh.home.log(name);
    loop {
        if recorded.life() == Life::Gone {
            return Err(anyhow!("{name} ended while it was starting; its last lines:\n{}", tool::excerpt(&log)));
        }
        if probe::answers(mesh, name).await {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(anyhow!(
                "{name} runs but was not ready within {seconds} s (MESH_DEADLINES__START); its last lines:\n{}",
                tool::excerpt(&log)
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Stops the process called `name` and takes it off the record; one that does not stop in time is killed.
pub(crate) async fn stop(mesh: &Mesh, state: &LockedState, name: &str) -> Result<Stopped> {
    let recorded = state.get().processes.get(name).cloned();
    let ended = match &recorded {
        Some(recorded) if recorded.life() != Life::Gone => recorded.identity.end(asking(name), patience(mesh, recorded)).await,
        _ => Ended::Already,
    };
    if ended == Ended::Killed {
        let seconds = mesh.settings.deadlines.stop;
        mesh.progress.say(&format!("{name} did not stop within {seconds} s and was killed; log: {}", mesh.home.log(name).display()));
    }
    if name == "kafka" && ended == Ended::Itself {
        // Without it the next start takes some seconds more, and nothing else.
        if let Err(err) = kafka::keep_archive(mesh) {
            mesh.progress.say(&format!("kafka's archive of classes was not kept: {err:#}"));
        }
    }
    if let Some(recorded) = recorded.filter(|_| name == obi::NAME) {
        obi::clean_up(mesh, &recorded).await;
    }
    state.change(|state| drop(state.processes.remove(name)))?;
    let how = match ended {
        Ended::Already => "gone",
        Ended::Itself => "stopped",
        Ended::Killed => "killed",
    };
    Ok(Stopped { name: name.to_owned(), how })
}

/// Postgres takes SIGTERM for "when the last client has gone"; SIGINT is its fast shutdown.
fn asking(name: &str) -> Signal {
    if name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM }
}

fn patience(mesh: &Mesh, recorded: &Recorded) -> Duration {
    let seconds = Duration::from_secs(mesh.settings.deadlines.stop);
    if kafka::is_archiving(&recorded.command) { seconds + ARCHIVING } else { seconds }
}
