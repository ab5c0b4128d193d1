//! One service in the foreground, alone or under a debugger, with the rest of the mesh around it.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::process::Command;

use crate::mesh::Mesh;
use crate::watch::Interrupts;
use crate::{control, output, up};

/// Stops the managed `name` and runs it here with the same environment, behind the words of `wrap` if there are any.
/// Ends when it ends; Ctrl-C and SIGTERM reach it.
pub(crate) async fn run(mesh: &Mesh, name: &str, wrap: Option<&str>, json: bool) -> Result<ExitCode> {
    let secrets = up::secrets(mesh)?;
    let launch = mesh.launch(name, &secrets)?;
    launch.check_program()?;
    let words: Vec<String> = wrap.unwrap_or_default().split_whitespace().map(str::to_owned).chain(launch.command()).collect();
    let (program, args) = words.split_first().context("nothing to run")?;
    let mut interrupts = Interrupts::new()?;

    let state = up::lock(mesh)?;
    control::stop(mesh, &state, name).await?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(launch.environment()).current_dir(&launch.dir);
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    let Some(pid) = child.id() else { bail!("{name} ended at once") };
    let recorded = launch.record(pid, None)?;
    state.change(|state| drop(state.processes.insert(name.to_owned(), recorded.clone())))?;
    drop(state);

    mesh.progress.say(&format!("{name} runs here (pid {pid}); Ctrl-C ends it"));
    // On a terminal Ctrl-C reaches the whole foreground group, the child included; elsewhere we pass it on.
    let pass_on = !std::io::stdin().is_terminal();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = interrupts.any() => if pass_on { recorded.identity.signal(Signal::SIGTERM); },
        }
    };
    let state = up::lock(mesh)?;
    state.change(|state| state.processes.retain(|_, process| process.identity != recorded.identity))?;
    mesh.progress.say(&format!("{name} ended ({status}); to give it back to the mesh: ./mesh start {name}"));
    if json {
        output::json(&json!({ "service": name, "pid": pid, "exit": status.code() }))?;
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
