//! The job `topics`: `topics apply` makes what is missing, `topics check` only looks. Both tell what differs.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use chassis::config::{self, Common, Problems, ServiceConfig};
use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

use super::{Replication, Report, TopicError, apply, inspect};
use crate::kafka::KafkaConfig;

/// Configuration of the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have, so that the job takes their environment. It opens no port and makes no spans.
    #[serde(flatten)]
    pub common: Common,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// How often records are kept.
    pub topics: Replication,
}

impl Default for Config {
    fn default() -> Self {
        Self { common: Common::on_admin_port(0), kafka: KafkaConfig::default(), topics: Replication::default() }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.kafka.check(problems);
        self.topics.check(problems);
    }
}

/// Kafka topics of the mesh: what is declared, what is there, and how the two differ.
///
/// Exit codes: 0 all topics are as declared, 1 some differ or the broker does not answer, 2 bad usage or configuration.
/// Environment variables `THROUGHLINE_SECTION__KEY` win over the file.
#[derive(Debug, Parser)]
#[command(name = "topics", version)]
struct Cli {
    /// TOML file with settings: `kafka.brokers`, `topics.replication_factor`, `topics.min_insync_replicas`
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the topics that are missing, and wait until the broker acknowledges a record. What is there stays as it is.
    Apply {
        /// How many seconds to wait for brokers that are not ready yet
        #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
        wait: u64,
    },
    /// Change nothing
    Check,
}

/// The whole program.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    let config: Config = match config::read(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(&error, 2),
    };
    match run(&cli.command, &config).await {
        Ok(report) => match print(&report, cli.json) {
            Ok(()) => ExitCode::from(u8::from(!report.is_fine())),
            Err(error) => fail(&error, 1),
        },
        Err(error) => fail(&error, 1),
    }
}

async fn run(command: &Command, config: &Config) -> Result<Report, TopicError> {
    if let Command::Apply { wait } = command {
        apply(&config.kafka, &config.topics, Duration::from_secs(*wait)).await?;
    }
    Ok(inspect(&config.kafka, &config.topics).await?.into())
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string_pretty(report)?);
    }
    for difference in &report.differences {
        writeln!(out, "{difference}")?;
    }
    let fine = report.topics.iter().filter(|topic| topic.state == "ok").count();
    writeln!(out, "{fine} of {} topics are as declared", report.topics.len())
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("topics: {error}");
    ExitCode::from(code)
}
