//! `dlq`: the records that nobody could handle: list, show, replay, purge.

mod args;
mod list;
mod purge;
mod replay;
mod select;
mod show;
mod spans;
mod text;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use events::{dlq::Desk, kafka::KafkaConfig};

pub(crate) use self::args::DlqArgs;
use self::args::{DlqCommand, Source};
use crate::{kafka, mesh::Mesh, state::State};

/// How long the broker may take to acknowledge what is sent to it.
const DELIVERY_MS: u64 = 10_000;

/// Does what is asked for.
pub(crate) async fn run(args: DlqArgs, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let source = args.source;
    match args.command {
        DlqCommand::List(args) => list::run(&args, &desk(&source, mesh).await?, json).await,
        DlqCommand::Show(args) => show::run(args.id, &desk(&source, mesh).await?, json).await,
        DlqCommand::Replay(args) => replay::run(&args, &source, mesh, json).await,
        DlqCommand::Purge(args) => purge::run(&args, &source, mesh, json).await,
    }
}

/// Opens the letters of the mesh, or of the broker that is named.
async fn desk(source: &Source, mesh: &Mesh) -> Result<Desk> {
    let config = config(source, mesh)?;
    let hint = if source.brokers.is_some() { "is --topic-suffix right?" } else { "./mesh status shows what runs" };
    Desk::open(&config).await.with_context(|| format!("the dead letters cannot be read ({hint})"))
}

fn config(source: &Source, mesh: &Mesh) -> Result<KafkaConfig> {
    let brokers = match &source.brokers {
        Some(brokers) => brokers.clone(),
        None if State::read(&mesh.home.state())?.alive("kafka").is_none() => {
            bail!("kafka does not run in this mesh: ./mesh up starts it, and --brokers HOST:PORT asks another one")
        }
        None => kafka::brokers(mesh),
    };
    let topic_suffix = source.topic_suffix.clone().unwrap_or_default();
    Ok(KafkaConfig { brokers, topic_suffix, delivery_timeout_ms: DELIVERY_MS, ..KafkaConfig::default() })
}
