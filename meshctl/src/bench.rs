//! `bench`: how far our paths are from the limits that the servers' own tools show, side by side on this machine.

mod books;
mod case;
mod load;
mod records;
mod report;
mod requests;
mod rival;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use self::{
    case::{Case, Prepared},
    report::{Figures, Report},
    stage::Stage,
};
use crate::mesh::Mesh;
use crate::watch::Interrupts;
use crate::{output, verify};

/// What to measure, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// What to measure [default: all]
    #[arg(value_name = "CASE", value_enum)]
    cases: Vec<Case>,
    /// Connections of ours, and clients of the tools that we are compared with
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    connections: u16,
    /// How long one run takes: 500ms, 8s, 1m; pgbench knows whole seconds
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = verify::args::duration)]
    duration: Duration,
    /// Records that wait for dispatch, and a fifth as many for analytics
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    records: u64,
    /// Runs of each, in turn with its rival
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// Measures on a mesh of its own, which it stops and wipes at the end. Exit code 1 where a ratio is below what it must be.
pub(crate) async fn run(args: &BenchArgs, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let measured = tokio::select! {
        measured = measure(args, mesh) => measured.map(Some),
        () = interrupts.any() => Ok(None),
    };
    let struck = Stage::strike(mesh).await;
    let Some(report) = measured? else {
        mesh.progress.say("interrupted; nothing was measured");
        return Ok(ExitCode::FAILURE);
    };
    struck?;
    let printed = if json { output::json(&report) } else { output::line(&report.table()) };
    printed?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &BenchArgs, mesh: &Mesh) -> Result<Report> {
    let stage = Stage::set(mesh).await?;
    let mut cases = if args.cases.is_empty() { Case::ALL.to_vec() } else { args.cases.clone() };
    cases.sort_unstable();
    cases.dedup();
    let mut figures = Vec::new();
    for case in cases {
        figures.extend(Figures::of(case, rounds(case, &stage, args, mesh).await?));
    }
    Ok(Report::new(args.connections, args.rounds.into(), figures))
}

async fn rounds(case: Case, stage: &Stage, args: &BenchArgs, mesh: &Mesh) -> Result<Vec<case::Round>> {
    let step = mesh.progress.step(case.name(), "preparing");
    let mut rounds = Vec::new();
    let done = async {
        let prepared = Prepared::new(case, stage, args).await?;
        for number in 1..=args.rounds {
            step.doing(&format!("round {number} of {}", args.rounds));
            rounds.push(prepared.round().await?);
        }
        Ok(())
    };
    match done.await {
        Ok(()) => {
            step.done("measured");
            Ok(rounds)
        }
        Err(err) => {
            step.failed();
            Err(err)
        }
    }
}
