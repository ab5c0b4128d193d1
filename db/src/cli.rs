//! Commands, settings and output of the binary `db`.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use db::connect::{ConnectError, wait_until_ready};
use db::migrate::{Down, Schema, SchemaStatus, Step};
use db::roles::RolePasswords;
use db::{generate, migrate};
use serde_json::json;

mod seed;

const URL_KEY: &str = "THROUGHLINE_DATABASE__URL";

/// Migrations, demo data and schema.rs of the mesh's database.
///
/// Exit codes: 0 fine, 1 it failed or the check did, 2 bad usage or input.
#[derive(Parser)]
#[command(name = "db", version)]
pub(crate) struct Cli {
    /// Who to sign in as (an administrator) and where: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    /// A URL with a password belongs into the environment variable, where `ps` does not show it.
    #[arg(long, env = URL_KEY, global = true, hide_env_values = true, value_name = "URL")]
    url: Option<String>,
    /// How many seconds to wait for a Postgres that is not ready yet.
    #[arg(long, default_value_t = 30, global = true, value_name = "SECONDS")]
    wait: u64,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the database up to date, take migrations back, or say where it stands.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Write the demo data: 200 products with 1,000,000 pieces each in stock. What is there stays as it is.
    ///
    /// With --orders or --posts a history, too: orders and posts of the past year, the same each time. What an earlier call has
    /// written counts, so that a call that was interrupted is repeated. The history makes no events: rollups and mails know
    /// nothing of it.
    Seed(seed::SeedArgs),
    /// Print src/schema.rs as the migrated database has it.
    Schema {
        /// Print nothing; exit 1 when the file that this binary was built with differs.
        #[arg(long)]
        check: bool,
        /// Write into this file instead of stdout. (A shell's `>` would empty the file that `cargo run` is about to compile.)
        #[arg(long, value_name = "FILE", conflicts_with = "check")]
        output: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Migrate {
    /// Make roles, schemas and tables, whatever is missing. Safe to run twice, and several times at once.
    ///
    /// Passwords come from `THROUGHLINE_ROLES__AUTH`, `__CATALOG`, `__ORDERS`, `__NOTIFICATION` and `__ANALYTICS`.
    Up,
    /// Take migrations back, newest first; their tables' rows are lost.
    Down(DownArgs),
    /// List applied and pending migrations; exit 1 when some are pending.
    Status,
}

#[derive(Args)]
#[group(id = "how_far", required = true, multiple = true)]
struct DownArgs {
    /// All of them, in every schema.
    #[arg(long, conflicts_with_all = ["steps", "schema"])]
    all: bool,
    /// That many of one schema.
    #[arg(long, requires = "schema", value_parser = clap::value_parser!(u16).range(1..))]
    steps: Option<u16>,
    /// Which schema: auth, catalog, orders or events.
    #[arg(long, requires = "steps")]
    schema: Option<Schema>,
}

impl DownArgs {
    fn target(&self) -> Down {
        match (self.schema, self.steps) {
            (Some(schema), Some(steps)) => Down::Steps { schema, steps: steps.into() },
            _ => Down::All,
        }
    }
}

/// Why the binary ends with another exit code than 0.
pub(crate) struct Failure {
    /// 1: it did not work. 2: it was asked wrongly.
    pub(crate) code: u8,
    /// One sentence.
    pub(crate) reason: String,
}

impl Failure {
    fn of(error: &impl Display) -> Self {
        Self { code: 1, reason: error.to_string() }
    }

    fn missing(keys: &[&str]) -> Self {
        Self { code: 2, reason: format!("no value for {}: set these environment variables", keys.join(", ")) }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = if matches!(error, ConnectError::Url(_)) { 2 } else { 1 };
        Self { code, reason: error.to_string() }
    }
}

/// Does what the command line says. The code is 1 when a check failed.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let passwords = RolePasswords::collect(|key| std::env::var(key).ok());
    let url = check_settings(&cli, passwords.as_ref().err())?;
    wait_until_ready(&url, Duration::from_secs(cli.wait), progress).await?;
    match (&cli.command, passwords) {
        (Command::Migrate(Migrate::Up), Ok(passwords)) => {
            let steps = migrate::up(&url, &passwords, progress).await.map_err(|error| Failure::of(&error))?;
            print(&cli, &json!({ "applied": steps }), &Steps(&steps, "applied"))
        }
        (Command::Migrate(Migrate::Up), Err(missing)) => Err(Failure::missing(&missing)),
        (Command::Migrate(Migrate::Down(args)), _) => {
            let steps = migrate::down(&url, args.target(), progress).await.map_err(|error| Failure::of(&error))?;
            print(&cli, &json!({ "reverted": steps }), &Steps(&steps, "reverted"))
        }
        (Command::Migrate(Migrate::Status), _) => status(&cli, &url).await,
        (Command::Seed(args), _) => {
            let outcome = seed::run(args, &url).await.map_err(|error| Failure::of(&error))?;
            print(&cli, &json!(outcome), &outcome)
        }
        (Command::Schema { check: true, .. }, _) => check_schema(&cli, &url).await,
        (Command::Schema { output, .. }, _) => schema(&cli, &url, output.as_deref()).await,
    }
}

/// The URL, or all settings that are missing at once.
fn check_settings(cli: &Cli, missing_passwords: Option<&Vec<&'static str>>) -> Result<String, Failure> {
    let url = cli.url.clone().filter(|url| !url.is_empty());
    let mut missing = Vec::new();
    if url.is_none() {
        missing.push(URL_KEY);
    }
    if matches!(cli.command, Command::Migrate(Migrate::Up)) {
        missing.extend(missing_passwords.into_iter().flatten());
    }
    url.filter(|_| missing.is_empty()).ok_or_else(|| Failure::missing(&missing))
}

async fn status(cli: &Cli, url: &str) -> Result<ExitCode, Failure> {
    let schemas = migrate::status(url).await.map_err(|error| Failure::of(&error))?;
    let current = schemas.iter().all(|schema| schema.pending.is_empty());
    print(cli, &json!({ "current": current, "schemas": schemas }), &Statuses(&schemas))?;
    Ok(if current { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn schema(cli: &Cli, url: &str, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let generated = generate::schema_rs(url).await.map_err(|error| Failure::of(&error))?;
    let current = generated == generate::checked_in();
    let Some(path) = output else {
        return print(cli, &json!({ "current": current, "schema_rs": generated }), &generated);
    };
    std::fs::write(path, &generated).map_err(|error| Failure { code: 2, reason: format!("--output {}: {error}", path.display()) })?;
    print(cli, &json!({ "current": current, "written": path }), &format!("{} written\n", path.display()))
}

async fn check_schema(cli: &Cli, url: &str) -> Result<ExitCode, Failure> {
    let current = generate::schema_rs(url).await.map_err(|error| Failure::of(&error))? == generate::checked_in();
    let text =
        if current { "db/src/schema.rs is current\n" } else { "db/src/schema.rs differs: run `db schema --output db/src/schema.rs`\n" };
    print(cli, &json!({ "current": current }), &text)?;
    Ok(if current { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn progress(line: &str) {
    eprintln!("{line}");
}

fn print(cli: &Cli, json: &serde_json::Value, text: &impl Display) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    let written = if cli.json { writeln!(stdout, "{json}") } else { write!(stdout, "{text}") };
    written.and_then(|()| stdout.flush()).map_err(|error| Failure::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

struct Steps<'a>(&'a [Step], &'static str);

impl Display for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => writeln!(f, "nothing to do"),
            1 => writeln!(f, "1 migration {}", self.1),
            several => writeln!(f, "{several} migrations {}", self.1),
        }
    }
}

struct Statuses<'a>(&'a [SchemaStatus]);

impl Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for SchemaStatus { schema, applied, pending, unknown } in self.0 {
            let rows = [("applied", applied), ("pending", pending), ("unknown", unknown)];
            for (state, name) in rows.iter().flat_map(|(state, names)| names.iter().map(move |name| (state, name))) {
                writeln!(f, "{state}  {schema}/{name}")?;
            }
        }
        Ok(())
    }
}
