//! A service's `main`.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, Command, value_parser};
use prometheus_client::metrics::info::Info;
use telemetry::TelemetryConfig;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Process, StartError, admin,
    config::{self, ServiceConfig},
    listen,
    scenario::{Register, watch},
    spawn,
    tls::Tls,
};

/// Reads arguments and configuration, starts logs, telemetry, the admin port and the runtime, runs `service` until it
/// ends, and flushes telemetry. SIGTERM and SIGINT cancel [`Process::shutdown`]; a second one ends the process at once.
///
/// Exit codes: 0 stopped as asked, 1 failed, 2 wrong arguments or configuration. With `--probe` it only asks a process of these
/// settings whether it is ready: 0 it is, 1 it is not. That is for images without a shell.
pub fn launch<C, F>(name: &'static str, service: impl FnOnce(C, Process) -> F) -> ExitCode
where
    C: ServiceConfig,
    F: Future<Output = Result<(), StartError>>,
{
    let arguments = Command::new(name)
        .arg(Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf)).help("TOML file with settings"))
        .arg(Arg::new("print-config").long("print-config").action(ArgAction::SetTrue).help("Print the effective settings and exit"))
        .arg(
            Arg::new("probe")
                .long("probe")
                .action(ArgAction::SetTrue)
                .help("Ask the admin port of these settings whether the service is ready"),
        )
        .after_help(format!("Environment variables {}SECTION__KEY win over the file.", config::ENV_PREFIX))
        .get_matches();
    let config: C = match config::read(arguments.get_one::<PathBuf>("config").map(PathBuf::as_path)) {
        Ok(config) => config,
        Err(error) => return fail(name, &error, 2),
    };
    if arguments.get_flag("print-config") {
        return print(name, &config);
    }
    if arguments.get_flag("probe") {
        return probe(name, config.common().admin.address);
    }
    match run(name, config, service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(name, &error, 1),
    }
}

fn run<C, F>(name: &'static str, config: C, service: impl FnOnce(C, Process) -> F) -> Result<(), StartError>
where
    C: ServiceConfig,
    F: Future<Output = Result<(), StartError>>,
{
    telemetry::logs::start(&config.common().log, name)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let common = config.common();
    let process = Process::new(common.runtime, common.telemetry.mode).with_tls(Tls::load(&common.tls)?).with_calls_at(common.log.calls);
    register(&process, &config.common().telemetry);
    let scenarios = Register::new(&common.scenarios, name, process.scenarios.clone());
    process.registry().register_collector(Box::new(scenarios.clone()));
    let (telemetry, result) = runtime.block_on(async {
        let telemetry = telemetry::start(&config.common().telemetry, name)?;
        watch_signals(&process)?;
        let address = config.common().admin.address;
        spawn(admin::serve(listen("admin.address", address)?, process.clone(), config.common().log.clone(), scenarios.clone()));
        let followed = config.common().scenarios.clone();
        if followed.enabled {
            drop(spawn(watch::follow(followed, scenarios, process.scenarios.clone(), process.shutdown.clone())));
        }
        tracing::info!(admin = %address, "starting");
        let result = service(config, process.clone()).await;
        process.shutdown.cancel();
        process.drained().await;
        Ok::<_, StartError>((telemetry, result))
    })?;
    telemetry.shutdown();
    tracing::info!("stopped");
    result
}

fn watch_signals(process: &Process) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = process.shutdown.clone();
    spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("stopping: finishing what was begun");
            shutdown.cancel();
        }
    });
    Ok(())
}

fn register(process: &Process, telemetry: &TelemetryConfig) {
    let info = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    let mut registry = process.registry();
    telemetry::metrics::register(&mut registry, telemetry);
    registry.register("throughline_build", "The running build", info);
}

#[allow(clippy::print_stdout)]
fn print<C: ServiceConfig>(name: &str, config: &C) -> ExitCode {
    match toml::to_string_pretty(config) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(name, &error, 1),
    }
}

/// How long the answer may take.
const PROBE: Duration = Duration::from_secs(2);

fn probe(name: &str, address: SocketAddr) -> ExitCode {
    let host = if address.ip().is_unspecified() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { address.ip() };
    match ready(SocketAddr::new(host, address.port())) {
        Ok(answer) if answer.split(' ').nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(answer) => fail(name, &answer.lines().last().unwrap_or_default(), 1),
        Err(error) => fail(name, &error, 1),
    }
}

fn ready(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE)?;
    stream.set_read_timeout(Some(PROBE))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn fail(name: &str, error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::from(code)
}
