//! The command line: what there is to say, and who does it.

mod commands;
mod processes;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::backend::BackendArgs;
use crate::bench::BenchArgs;
use crate::call::CallArgs;
use crate::certs::CertsArgs;
use crate::dlq::DlqArgs;
use crate::mesh::names;
use crate::scenario::ScenarioArgs;
use crate::seed::SeedArgs;
use crate::services::SERVICES;
use crate::settings::Telemetry;
use crate::topics::TopicsArgs;
use crate::trace::TraceArgs;
use crate::verify::VerifyArgs;
use crate::{failure, obi, output};

/// Starts, stops and looks into a local Throughline mesh.
///
/// Results go to stdout, progress to stderr. Exit codes: 0 fine, 1 the check failed, 2 bad usage or input.
#[derive(Debug, Parser)]
#[command(name = "mesh", bin_name = "./mesh", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Folder in which the mesh keeps everything it owns [default: .mesh beside ./mesh]
    #[arg(long, global = true, env = "MESH_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    /// Settings over the defaults (deploy/mesh.toml shows all of them)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start what does not run yet, place an order and print its trace
    Up(UpArgs),
    /// Say what this machine can do, and what is missing for each telemetry mode
    Doctor(DoctorArgs),
    /// Stop everything that this mesh started
    Down,
    /// Show what runs and where
    Status,
    /// Print the log of a process
    Logs(LogsArgs),
    /// Show what a service logs, or change it while it runs
    LogLevel(LogLevelArgs),
    /// Stop processes and start them again
    Restart(Names),
    /// Stop processes; the rest goes on
    Stop(Names),
    /// Start processes of a mesh that is up
    Start(Names),
    /// Send a signal to a process, to see what the rest makes of it
    Kill(KillArgs),
    /// Run a service in the foreground, the rest of the mesh around it
    Run(RunArgs),
    /// Print the environment of a process as `export` lines
    Env(EnvArgs),
    /// Show one trace as a waterfall
    Trace(TraceArgs),
    /// Place orders and prove that nothing of their traces is lost or bent; or check traces that are there already
    Verify(Box<VerifyArgs>),
    /// Measure how far the mesh is from the limits that the servers' own tools show
    Bench(BenchArgs),
    /// List, show, replay or purge the records that nobody could handle
    Dlq(Box<DlqArgs>),
    /// Fill the database of a mesh that is up with orders and posts of the past year, in any number
    Seed(SeedArgs),
    /// Show the Kafka topics, and what of them is not as declared
    Topics(TopicsArgs),
    /// Switch faults on and off on purpose, and look for their symptoms
    Scenario(ScenarioArgs),
    /// Call a gRPC method of a service through its reflection
    Call(CallArgs),
    /// Make certificates for TLS between the services and on the gateway's port
    Certs(CertsArgs),
    /// Print the URL of the page with the traces, and open it where there is a browser
    Open,
    /// Stop the mesh and wipe its local data
    Reset(ResetArgs),
    #[command(hide = true)]
    /// Run the trace backend (a mesh starts one itself)
    Backend(BackendArgs),
}

// Independent switches of the command line, not states of one thing.
#[expect(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
struct UpArgs {
    /// Return when everything is ready, and leave it running
    #[arg(long)]
    detach: bool,
    /// Place no order
    #[arg(long)]
    no_demo_order: bool,
    /// Start the servers (postgres, redis, kafka, backend) and no service
    #[arg(long)]
    infra_only: bool,
    /// Who makes the spans: the services (sdk), OBI from outside (ebpf), nobody (off); kept for as long as the mesh runs
    /// [default: telemetry.mode in the settings]
    #[arg(long, value_name = "MODE", value_parser = Telemetry::MODES)]
    telemetry: Option<String>,
    /// Use free ports for everything and record them, for as long as the mesh runs
    #[arg(long)]
    ephemeral_ports: bool,
    /// Install missing packages without asking (./mesh does this before anything else)
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// Fail where this mode cannot run [default: telemetry.mode in the settings]
    #[arg(long, value_name = "MODE", value_parser = Telemetry::MODES)]
    telemetry: Option<String>,
}

#[derive(Debug, Args)]
struct Names {
    /// Processes
    #[arg(required = true, value_name = "SERVICE", value_parser = processes())]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct LogsArgs {
    /// A process, or a step of the start: migrate, postgres-setup, kafka-setup, obi-setup, obi-probe
    #[arg(value_name = "SERVICE", value_parser = logs())]
    name: String,
    /// Go on printing what is added
    #[arg(long, short)]
    follow: bool,
    /// How many of the last lines
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: usize,
}

#[derive(Debug, Args)]
struct LogLevelArgs {
    /// A service
    #[arg(value_name = "SERVICE", value_parser = services())]
    name: String,
    /// off, error, warn, info, debug or trace, or a list such as info,orders=debug; holds until the service ends
    level: Option<String>,
}

#[derive(Debug, Args)]
struct KillArgs {
    /// A process
    #[arg(value_name = "SERVICE", value_parser = processes())]
    name: String,
    /// STOP pauses it with all its children, CONT continues it, TERM asks it to end, KILL ends it
    #[arg(long, default_value = "KILL", ignore_case = true, value_parser = ["KILL", "STOP", "CONT", "TERM"])]
    signal: String,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A service
    #[arg(value_name = "SERVICE", value_parser = services())]
    name: String,
    /// Words to put before the program, split at blanks: --wrap 'gdb --args'
    #[arg(long, value_name = "WORDS")]
    wrap: Option<String>,
}

#[derive(Debug, Args)]
struct EnvArgs {
    /// A service
    #[arg(value_name = "SERVICE", value_parser = services())]
    name: String,
}

#[derive(Debug, Args)]
struct ResetArgs {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

fn processes() -> PossibleValuesParser {
    PossibleValuesParser::new(names())
}

fn services() -> PossibleValuesParser {
    PossibleValuesParser::new(SERVICES.iter().map(|service| service.name))
}

fn logs() -> PossibleValuesParser {
    PossibleValuesParser::new(names().chain(["migrate", "postgres-setup", "kafka-setup", obi::SETUP, obi::PROBE]))
}

/// Reads the command line and does what it says; errors are told on stderr, and with `--json` on stdout too.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match commands::dispatch(cli).await {
        Ok(code) => code,
        Err(err) => {
            eprintln!("mesh: {err:#}");
            if json && let Err(broken) = output::json(&serde_json::json!({ "error": format!("{err:#}") })) {
                eprintln!("mesh: {broken}");
            }
            ExitCode::from(failure::exit_code(&err))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_the_script_tells_of_every_command() {
        let command = Cli::command();
        command.clone().debug_assert();
        let script = include_str!("../../mesh");
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let told = script.lines().any(|line| line.trim_start().split(' ').next() == Some(sub.get_name()));
            assert!(told, "./mesh --help does not tell of `{}`", sub.get_name());
        }
    }
}
