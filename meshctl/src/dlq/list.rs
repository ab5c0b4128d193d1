//! `dlq list`

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::Result;
use events::dlq::{Counts, Desk, Facts, Filter, State};
use serde::Serialize;

use super::args::ListArgs;
use super::text::{letters, plain, short, table, time};
use crate::output;

/// Characters of a reason in a row.
const REASON: usize = 60;

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    facts: Facts,
    state: State,
}

/// What `--json` prints.
#[derive(Serialize)]
struct List {
    /// The newest that are meant, oldest first.
    letters: VecDeque<Row>,
    /// All that are meant.
    matching: u64,
    /// All there are.
    counts: Counts,
}

/// Prints the newest letters that are meant. Memory is bounded by the rows that are shown.
pub(super) async fn run(args: &ListArgs, desk: &Desk, json: bool) -> Result<ExitCode> {
    let (filter, limit) = (args.filter(), args.limit());
    let mut list = List { letters: VecDeque::new(), matching: 0, counts: Counts::default() };
    let mut scan = desk.scan(&Filter::default())?;
    while let Some((letter, state)) = scan.next().await? {
        list.counts.add(state);
        if !desk.admits(&filter, &letter.facts, state) {
            continue;
        }
        list.matching += 1;
        if list.letters.len() == limit {
            list.letters.pop_front();
        }
        list.letters.push_back(Row { facts: letter.facts, state });
    }
    if json {
        output::json(&list)?;
    } else {
        output::line(&shown(&list))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(list: &List) -> String {
    let mut lines = Vec::new();
    if !list.letters.is_empty() {
        lines.push(rows(&list.letters));
    }
    if (list.letters.len() as u64) < list.matching {
        lines.push(format!("the newest {} of {} that match; --limit N shows more", list.letters.len(), list.matching));
    }
    let Counts { open, replayed, purged } = list.counts;
    lines.push(format!("{}: {open} open, {replayed} replayed, {purged} purged", letters(list.counts.total())));
    lines.join("\n")
}

fn rows(list: &VecDeque<Row>) -> String {
    let mut table = table(&["id", "state", "failed at", "topic", "consumer", "type", "attempts", "replays", "reason"]);
    for Row { facts, state } in list {
        let round = &facts.round;
        table.add_row([
            facts.id.to_string(),
            state.name().to_owned(),
            time(round.failed_at),
            plain(&round.topic),
            plain(&round.consumer),
            plain(&round.error_type),
            facts.attempts_total.to_string(),
            facts.replays.to_string(),
            short(&round.reason, REASON),
        ]);
    }
    table.to_string()
}
