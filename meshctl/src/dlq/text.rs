//! Letters as lines.

use std::io::IsTerminal;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets};
use events::dlq::Facts;

/// Text of somebody else on one line, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

/// The first characters of it.
pub(super) fn short(text: &str, length: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}

/// The key as it is told on the command line.
pub(super) fn key(facts: &Facts) -> String {
    match (&facts.key, &facts.key_base64) {
        (Some(key), _) => plain(key),
        (None, Some(base64)) => format!("base64 {base64}"),
        (None, None) => "none".to_owned(),
    }
}

/// A table as `./mesh status` shows one.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let preset = if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(header.iter().copied());
    table
}

/// `1 letter`, `2 letters`.
pub(super) fn letters(count: u64) -> String {
    format!("{count} letter{}", if count == 1 { "" } else { "s" })
}
