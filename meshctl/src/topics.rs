//! `topics`: the Kafka topics of a mesh that is up, beside their declaration.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use events::kafka::KafkaConfig;
use events::topics::{Replication, Report, drift, inspect};

use crate::mesh::Mesh;
use crate::state::State;
use crate::{kafka, output};

/// Nothing is ever changed in a topic that exists: partitions added later would give keys other partitions.
#[derive(Debug, Args)]
pub(crate) struct TopicsArgs {
    /// Exit with 1 where a topic is missing or differs from its declaration
    #[arg(long)]
    check: bool,
}

/// One broker keeps everything once, whatever is wanted elsewhere.
fn config(mesh: &Mesh) -> KafkaConfig {
    KafkaConfig { brokers: kafka::brokers(mesh), ..KafkaConfig::default() }
}

/// Shows the topics, and what differs.
pub(crate) async fn run(args: &TopicsArgs, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    if State::read(&mesh.home.state())?.alive("kafka").is_none() {
        bail!("kafka does not run in this mesh: ./mesh up starts it");
    }
    let inspected = inspect(&config(mesh), &Replication::default()).await.context("asking Kafka about the topics")?;
    let report = Report::from(inspected);
    if json {
        output::json(&report)?;
    } else {
        output::line(&text(&report))?;
    }
    Ok(ExitCode::from(u8::from(args.check && !report.is_fine())))
}

fn text(report: &Report) -> String {
    let mut table = Table::new();
    let preset = if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(["topic", "partitions", "retention", "cleanup", "state"]);
    for topic in &report.topics {
        let partitions = topic.partitions.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let cleanup = topic.cleanup.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([topic.topic.clone(), partitions, topic.retention(), cleanup, topic.state.to_owned()]);
    }
    let differences = report.differences.iter().map(|difference| format!("\n{difference}"));
    format!("{table}{}", differences.collect::<String>())
}

/// Says which topics differ, where some do. A broker that does not answer now has been ready before: that is told elsewhere.
pub(crate) async fn warn(mesh: &Mesh) {
    for difference in drift(&config(mesh), &Replication::default()).await.unwrap_or_default() {
        mesh.progress.say(&format!("warning: {difference} (left as it is; ./mesh topics shows all)"));
    }
}
