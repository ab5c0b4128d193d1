//! `dlq purge`

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use events::dlq::LetterId;
use serde::Serialize;

use super::args::{PurgeArgs, Source};
use super::text::{letters, short};
use super::{desk, select};
use crate::failure::usage;
use crate::mesh::Mesh;
use crate::output;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    dry_run: bool,
    /// Purged, or in a dry run what would be.
    purged: Vec<LetterId>,
    /// Letters that are no longer in the topic, earlier ones included.
    deleted: u64,
}

/// Gives up what is meant, after asking.
pub(super) async fn run(args: &PurgeArgs, source: &Source, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let filter = args.selection.filter()?;
    let asks = !args.yes && !args.selection.dry_run;
    if asks && !io::stdin().is_terminal() {
        return Err(usage("dlq purge asks before it gives letters up, and there is no terminal to ask on: say --yes"));
    }
    let mut desk = desk(source, mesh).await?;
    let letters_meant = select::all(&desk, &filter).await?;
    let count = letters(letters_meant.len() as u64);
    let purged: Vec<LetterId> = letters_meant.iter().map(|facts| facts.id).collect();
    if args.selection.dry_run {
        if json {
            output::json(&Outcome { dry_run: true, purged, deleted: 0 })?;
        } else {
            for facts in &letters_meant {
                output::line(&format!("{} {}: {}", facts.id, facts.round.topic, short(&facts.round.reason, 100)))?;
            }
            output::line(&format!("{count} would be purged; nothing was done"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if asks && !letters_meant.is_empty() && !confirmed(&count)? {
        mesh.progress.say("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let done = desk.purge(&letters_meant).await?;
    if json {
        output::json(&Outcome { dry_run: false, purged, deleted: done.deleted })?;
    } else {
        output::line(&format!("{count} purged; {} deleted from the topic", letters(done.deleted)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn confirmed(count: &str) -> Result<bool> {
    eprint!("Give up {count} for good? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
