//! `dlq replay`

use std::process::ExitCode;

use anyhow::Result;
use events::dlq::{Desk, Filter, Letter, LetterId, Plan, Replayed, Replayer};
use serde::Serialize;

use super::args::{ReplayArgs, Source};
use super::text::{letters, plain, short};
use super::{desk, select, spans};
use crate::mesh::Mesh;
use crate::output;
use crate::progress::Step;

/// Letters that are on their way at the same time, and bytes of their values.
const CHUNK: (usize, usize) = (500, 8 << 20);
/// From so many letters on, progress is told.
const MANY: u64 = 1_000;
/// Characters of a value that a dry run shows.
const VALUE: usize = 160;

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Outcome {
    dry_run: bool,
    /// Sent, or in a dry run what would be.
    replayed: Vec<Sent>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sent {
    Done(Replayed),
    Planned { id: LetterId, topic: String, key: Option<String>, value: Option<String>, bytes: usize, replays: u64 },
}

#[derive(Serialize)]
struct Failed {
    id: LetterId,
    reason: String,
}

/// Replays what is meant; goes on after a letter that cannot be.
pub(super) async fn run(args: &ReplayArgs, source: &Source, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let filter = args.selection.filter()?;
    let desk = desk(source, mesh).await?;
    let count = select::count(&desk, &filter).await?;
    let telemetry = if args.selection.dry_run { None } else { Some(spans::start(source, mesh)?) };
    let step = (count >= MANY).then(|| mesh.progress.step("replay", "beginning"));
    let mut work = Work {
        replayer: Replayer::new(&desk, args.patch.clone(), args.again)?,
        outcome: Outcome { dry_run: args.selection.dry_run, ..Outcome::default() },
        step,
        count,
        json,
    };
    let result = work.all(&desk, &filter).await;
    if let Some(telemetry) = telemetry {
        // it blocks until the last spans are sent
        tokio::task::block_in_place(|| telemetry.shutdown());
    }
    let failed = work.outcome.failed.len();
    if let Some(step) = work.step.take() {
        if failed == 0 && result.is_ok() { step.done("replayed") } else { step.failed() }
    }
    result?;
    work.conclude()?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Work<'a> {
    replayer: Replayer<'a>,
    outcome: Outcome,
    step: Option<Step>,
    count: u64,
    json: bool,
}

impl Work<'_> {
    async fn all(&mut self, desk: &Desk, filter: &Filter) -> Result<()> {
        let (mut scan, mut chunk, mut bytes) = (desk.scan(filter)?, Vec::new(), 0);
        while let Some((letter, _)) = scan.next().await? {
            bytes += letter.record.payload.len();
            chunk.extend(self.plan(letter).await?);
            if chunk.len() >= CHUNK.0 || bytes >= CHUNK.1 {
                self.send(std::mem::take(&mut chunk)).await?;
                bytes = 0;
            }
        }
        self.send(chunk).await
    }

    async fn plan(&mut self, letter: Letter) -> Result<Option<Plan>> {
        let id = letter.facts.id;
        match self.replayer.plan(letter).await {
            Ok(plan) => Ok(Some(plan)),
            Err(reason) => {
                self.fail(id, reason);
                Ok(None)
            }
        }
    }

    async fn send(&mut self, plans: Vec<Plan>) -> Result<()> {
        if self.outcome.dry_run {
            return plans.iter().try_for_each(|plan| self.note(planned(plan)));
        }
        for (id, result) in self.replayer.send(plans).await {
            match result {
                Ok(replayed) => self.note(Sent::Done(replayed))?,
                Err(reason) => self.fail(id, reason),
            }
        }
        let done = self.outcome.replayed.len() + self.outcome.failed.len();
        if let Some(step) = &self.step {
            step.doing(&format!("{done} of {}", self.count));
        }
        Ok(())
    }

    fn note(&mut self, sent: Sent) -> Result<()> {
        if !self.json && self.step.is_none() {
            output::line(&line(&sent))?;
        }
        self.outcome.replayed.push(sent);
        Ok(())
    }

    fn fail(&mut self, id: LetterId, reason: String) {
        eprintln!("mesh: dead letter {id} {}", plain(&reason));
        self.outcome.failed.push(Failed { id, reason });
    }

    fn conclude(&self) -> Result<()> {
        if self.json {
            return output::json(&self.outcome);
        }
        let (replayed, failed) = (letters(self.outcome.replayed.len() as u64), self.outcome.failed.len());
        let what = if self.outcome.dry_run { "would be replayed; nothing was sent" } else { "replayed" };
        let failures = if failed == 0 { String::new() } else { format!("; {failed} not") };
        output::line(&format!("{replayed} {what}{failures}"))
    }
}

fn planned(plan: &Plan) -> Sent {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let bytes = plan.value.as_ref().map_or(0, Vec::len);
    Sent::Planned { id: plan.id, topic: plan.topic.clone(), key: text(&plan.key), value: text(&plan.value), bytes, replays: plan.replays }
}

fn line(sent: &Sent) -> String {
    match sent {
        Sent::Done(Replayed { id, topic, partition, offset }) => format!("{id} -> {topic} {partition}:{offset}"),
        Sent::Planned { id, topic, key, value, bytes, replays } => {
            let key = key.as_ref().map_or_else(|| "no key".to_owned(), |key| format!("key {}", plain(key)));
            let value = value.as_ref().map_or_else(|| "none (a tombstone)".to_owned(), |value| short(value, VALUE));
            format!("{id} -> {topic}, {key}, replay {replays}, {bytes} bytes: {value}")
        }
    }
}
