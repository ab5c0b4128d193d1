//! Results go to stdout: one JSON document for machines, lines for people.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;
use serde::Serialize;

/// Prints `line`. A reader that has gone away (`| head`) ends the output, not the command.
pub(crate) fn line(line: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(err) if err.kind() != ErrorKind::BrokenPipe => Err(err.into()),
        _ => Ok(()),
    }
}

/// Prints `value` as one pretty JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}
