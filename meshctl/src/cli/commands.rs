//! The commands: each opens the mesh, does one thing, and prints what came of it.

use std::process::{ExitCode, Stdio};

use anyhow::{Result, bail};
use serde_json::json;

use super::{Cli, Command, Global, UpArgs, processes};
use crate::mesh::Mesh;
use crate::secrets::Secrets;
use crate::state::{LockedState, State};
use crate::trace::{self, Trace};
use crate::up::Start;
use crate::watch::{self, Interrupts};
use crate::{
    backend, bench, call, certs, demo, dlq, doctor, down, foreground, launch, log_level, logs, output, ports, reset, scenario, seed,
    services, signal, status, summary, topics, up, verify,
};

/// Does what the command line says.
pub(super) async fn dispatch(cli: Cli) -> Result<ExitCode> {
    let Cli { global, command } = cli;
    let json = global.json;
    if let Command::Backend(args) = command {
        backend::run(args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut mesh = Mesh::open(global.config.as_deref(), global.home.as_deref())?;
    match command {
        Command::Up(args) => return start_mesh(&mut mesh, &args, &global).await,
        Command::Run(args) => return foreground::run(&mesh, &args.name, args.wrap.as_deref(), json).await,
        Command::Doctor(args) => {
            let mode = args.telemetry.as_ref().unwrap_or(&mesh.settings.telemetry.mode);
            return doctor::run(&mesh, mode, json).await;
        }
        Command::Down => stop_mesh(&mesh, json).await?,
        Command::Status => show_status(&mesh, json).await?,
        Command::Logs(args) => logs::show(&mesh.home, &args.name, args.follow, args.lines, json)?,
        Command::LogLevel(args) => return log_level::run(&mesh, &args.name, args.level.as_deref(), json).await,
        Command::Restart(names) => processes::restart(&mut mesh, &names, json).await?,
        Command::Stop(names) => processes::stop(&mesh, &names, json).await?,
        Command::Start(names) => processes::start(&mut mesh, &names, json).await?,
        Command::Kill(args) => return signal::send(&mesh, &args.name, &args.signal, json).await,
        Command::Env(args) => environment(&mesh, &args.name, json)?,
        Command::Certs(args) => certs::run(&mesh, &args, json)?,
        Command::Open => open(&mesh, json)?,
        Command::Reset(args) => return wipe(&mesh, args.yes, json).await,
        Command::Trace(mut args) => {
            args.json |= json;
            return trace::run(args, &mesh.traces_url()).await;
        }
        Command::Verify(args) => return verify::run(*args, own(&mesh)?, json).await,
        Command::Call(mut args) => {
            args.json |= json;
            return call::run(args, &call::Surroundings::of(&mesh)?).await;
        }
        Command::Bench(args) => return bench::run(&args, &mesh, json).await,
        Command::Dlq(args) => return dlq::run(*args, &mesh, json).await,
        Command::Scenario(args) => return scenario::run(args, &mesh, json).await,
        Command::Seed(args) => return seed::run(&args, &mesh, json).await,
        Command::Topics(args) => return topics::run(&args, &mesh, json).await,
        Command::Backend(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What `verify` uses of this mesh, which need not be up.
fn own(mesh: &Mesh) -> Result<verify::Own> {
    let admin = services::find("orders").map(|orders| orders.admin(&mesh.ports)).unwrap_or_default();
    Ok(verify::Own {
        traces: mesh.traces_url(),
        gateway: mesh.gateway_url(),
        ca: mesh.ca(),
        email: mesh.settings.demo.email.clone(),
        password: Secrets::read(&mesh.home.secrets())?.map(|secrets| secrets.demo),
        mode: mesh.settings.telemetry.mode.clone(),
        metrics: format!("{admin}/metrics"),
        logs: mesh.home.logs(),
    })
}

async fn start_mesh(mesh: &mut Mesh, args: &UpArgs, global: &Global) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let state = up::lock(mesh)?;
    let fresh = !state.get().any_alive();
    let _reserved = if args.ephemeral_ports && fresh {
        let reserved = ports::ephemeral()?;
        mesh.ports = reserved.ports.clone();
        Some(reserved)
    } else {
        mesh.hold(&state.get());
        None
    };
    choose_modes(mesh, args, fresh).await?;
    state.change(|state| record_choices(state, args, fresh))?;
    let secrets = Secrets::read_or_create(&mesh.home.secrets())?;
    let brought_up = tokio::select! {
        done = bring_up(mesh, &state, &secrets, args) => Some(done?),
        () = interrupts.any() => None,
    };
    let Some(trace) = brought_up else { return interrupted(mesh, &state, args.detach).await };
    drop(state);
    announce(mesh, &secrets, trace.as_ref(), args, global.json).await?;
    if args.detach {
        return Ok(ExitCode::SUCCESS);
    }
    mesh.progress.say("Ctrl-C stops the mesh");
    tokio::select! {
        ended = watch::until_down(mesh) => {
            ended?;
            mesh.progress.say("the mesh was stopped by another command");
        }
        () = interrupts.any() => { down::down(mesh, &up::lock(mesh)?).await?; }
    }
    Ok(ExitCode::SUCCESS)
}

/// `--telemetry` wins over what was chosen before and over the settings; about TLS the settings say what holds now. Fails
/// where what is asked for cannot be: TLS that OBI could not look into, or an OBI that cannot run.
async fn choose_modes(mesh: &mut Mesh, args: &UpArgs, fresh: bool) -> Result<()> {
    if let Some(mode) = &args.telemetry {
        mesh.settings.telemetry.mode.clone_from(mode);
    }
    mesh.follow_tls();
    if args.infra_only {
        return Ok(());
    }
    certs::prepare(mesh, !fresh)?;
    if mesh.settings.telemetry.is_ebpf() { doctor::demand_ebpf(mesh).await } else { Ok(()) }
}

/// What was asked for holds until nothing runs any more.
fn record_choices(state: &mut State, args: &UpArgs, fresh: bool) {
    if fresh {
        state.ephemeral = args.ephemeral_ports;
    }
    if fresh || args.telemetry.is_some() {
        state.telemetry.clone_from(&args.telemetry);
    }
}

async fn bring_up(mesh: &Mesh, state: &LockedState, secrets: &Secrets, args: &UpArgs) -> Result<Option<Trace>> {
    if let Err(err) = (Start { mesh, state, secrets }).all(args.infra_only).await {
        if state.get().any_alive() {
            bail!("{err:#}\nWhat runs is left running: ./mesh up goes on from here, ./mesh down stops it");
        }
        return Err(err);
    }
    if args.infra_only {
        return Ok(None);
    }
    if args.no_demo_order {
        demo::register(mesh, secrets).await?;
        return Ok(None);
    }
    let trace = demo::order(mesh, secrets).await?;
    state.change(|state| state.trace_id = trace.as_ref().map(|trace| trace.id().to_owned()))?;
    Ok(trace)
}

async fn interrupted(mesh: &Mesh, state: &LockedState, detach: bool) -> Result<ExitCode> {
    if detach {
        bail!("interrupted; what runs is left running: ./mesh up goes on from here, ./mesh down stops it");
    }
    mesh.progress.say("interrupted: stopping what was started");
    down::down(mesh, state).await?;
    Ok(ExitCode::FAILURE)
}

async fn announce(mesh: &Mesh, secrets: &Secrets, trace: Option<&Trace>, args: &UpArgs, json: bool) -> Result<()> {
    if json {
        return output::json(&status::status(mesh).await?);
    }
    if args.infra_only {
        return output::line(&summary::infrastructure(mesh, secrets));
    }
    if let Some(trace) = trace {
        trace::print(trace, false)?;
        output::line("")?;
    }
    output::line(&summary::whole(mesh, secrets, trace.map(Trace::id)))
}

async fn stop_mesh(mesh: &Mesh, json: bool) -> Result<()> {
    let stopped = if mesh.home.state().exists() { down::down(mesh, &up::lock(mesh)?).await? } else { Vec::new() };
    if json {
        return output::json(&json!({ "stopped": stopped }));
    }
    if stopped.is_empty() {
        return output::line("nothing of this mesh runs");
    }
    output::line(&format!("stopped {}", stopped.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")))
}

async fn show_status(mesh: &Mesh, json: bool) -> Result<()> {
    let status = status::status(mesh).await?;
    if json { output::json(&status) } else { output::line(&status::table(&status)) }
}

fn environment(mesh: &Mesh, name: &str, json: bool) -> Result<()> {
    let launch = mesh.launch(name, &up::secrets(mesh)?)?;
    if json {
        return output::json(&launch.env);
    }
    for (key, value) in &launch.env {
        output::line(&format!("export {key}='{}'", value.replace('\'', r"'\''")))?;
    }
    Ok(())
}

fn open(mesh: &Mesh, json: bool) -> Result<()> {
    let state = State::read(&mesh.home.state())?;
    if state.alive("backend").is_none() {
        bail!("no trace backend runs in this mesh: ./mesh up starts it");
    }
    let url = mesh.traces_url();
    let url = state.trace_id.map_or(url.clone(), |id| format!("{url}/trace/{id}"));
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let browser = launch::in_path("xdg-open").filter(|_| display);
    let opened = browser.is_some_and(|program| {
        let mut command = std::process::Command::new(program);
        command.arg(&url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
    });
    if json { output::json(&json!({ "url": url, "opened": opened })) } else { output::line(&url) }
}

async fn wipe(mesh: &Mesh, yes: bool, json: bool) -> Result<ExitCode> {
    let Some(removed) = reset::reset(mesh, yes).await? else {
        mesh.progress.say("nothing was changed");
        return Ok(ExitCode::FAILURE);
    };
    if json {
        output::json(&json!({ "removed": removed }))?;
    } else {
        output::line(&format!("wiped {} (the fetched Kafka stays)", mesh.home.root().display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
