//! `dlq show`

use std::process::ExitCode;

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use events::dlq::{Desk, Facts, Letter, LetterId, Mark, Round, State};
use serde::Serialize;

use super::text::{key, plain, time};
use crate::output;

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'a Mark>,
    headers: Vec<Header>,
    /// Null for a tombstone.
    payload: Bytes,
}

#[derive(Serialize)]
struct Header {
    name: String,
    value: Bytes,
}

/// Bytes of somebody else: text where they are text.
#[derive(Serialize)]
#[serde(untagged)]
enum Bytes {
    None,
    Text(String),
    Base64 { base64: String },
}

impl Bytes {
    fn of(bytes: Option<&[u8]>) -> Self {
        match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
            None => Self::None,
            Some(Ok(text)) => Self::Text(text.to_owned()),
            Some(Err(bytes)) => Self::Base64 { base64: BASE64_STANDARD.encode(bytes) },
        }
    }
}

/// Prints all that is known of one letter.
pub(super) async fn run(id: LetterId, desk: &Desk, json: bool) -> Result<ExitCode> {
    let (letter, state) = desk.letter(id).await?;
    let mark = desk.mark(&letter.facts);
    if json {
        output::json(&of(&letter, state, mark))?;
    } else {
        output::line(&lines(&letter, state, mark).join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn headers(letter: &Letter) -> Vec<Header> {
    letter.headers().into_iter().map(|(name, value)| Header { name, value: Bytes::of(value.as_deref()) }).collect()
}

fn of<'a>(letter: &'a Letter, state: State, mark: Option<&'a Mark>) -> Shown<'a> {
    Shown { facts: &letter.facts, state, mark, headers: headers(letter), payload: Bytes::of(letter.record.value()) }
}

fn lines(letter: &Letter, state: State, mark: Option<&Mark>) -> Vec<String> {
    let facts = &letter.facts;
    let done = mark.map(|mark| format!(" at {}", time(Some(mark.at)))).unwrap_or_default();
    let mut lines = vec![
        format!("dead letter {}: {}{done}", facts.id, state.name()),
        row("reason", &facts.round.reason),
        row("type", &format!("{} ({})", facts.round.error_type, facts.round.exception_class)),
        row("consumer", &facts.round.consumer),
        row("failed at", &time(facts.round.failed_at)),
        row("record", &place(&facts.round)),
        row("key", &key(facts)),
        row("attempts", &format!("{} this time, {} in all", facts.round.attempts, facts.attempts_total)),
        row("replays", &facts.replays.to_string()),
    ];
    lines.extend(facts.trace_id.as_ref().map(|id| row("trace", &format!("{id}   ./mesh trace {id}"))));
    if let Some(Mark { topic: Some(topic), partition: Some(partition), offset: Some(offset), .. }) = mark {
        lines.push(row("sent to", &format!("{topic} {partition}:{offset}")));
    }
    lines.push("history".to_owned());
    let rounds = facts.history.iter().chain([&facts.round]);
    lines.extend(rounds.zip(1..).map(|(round, number): (_, u32)| format!("  {number}. {}", told(round))));
    lines.push("headers".to_owned());
    lines.extend(headers(letter).into_iter().map(|header| format!("  {}: {}", plain(&header.name), value(&header))));
    lines.extend(payload(letter));
    lines
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<10} {}", plain(value))
}

fn place(round: &Round) -> String {
    match (round.partition, round.offset) {
        (Some(partition), Some(offset)) => format!("{} {partition}:{offset}", round.topic),
        _ => format!("{} (never got there)", round.topic),
    }
}

fn told(round: &Round) -> String {
    let how = if round.patched { "patched and replayed" } else { "replayed" };
    let end = round.replayed_at.map(|at| format!("; {how} {}", time(Some(at)))).unwrap_or_default();
    plain(&format!("{} {} tried {} times: {}{end}", time(round.failed_at), round.consumer, round.attempts, round.reason))
}

fn value(header: &Header) -> String {
    match &header.value {
        Bytes::Text(text) => plain(text),
        Bytes::Base64 { base64 } => format!("base64 {base64}"),
        Bytes::None => "(no value)".to_owned(),
    }
}

/// JSON is laid out; other text stands as it is, and bytes in base64.
fn payload(letter: &Letter) -> Vec<String> {
    let Some(bytes) = letter.record.value() else { return vec!["value: none (a tombstone)".to_owned()] };
    let json = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let (kind, text) = match (json.and_then(|json| serde_json::to_string_pretty(&json).ok()), std::str::from_utf8(bytes)) {
        (Some(json), _) => ("JSON, ", json),
        (None, Ok(text)) => ("", text.lines().map(plain).collect::<Vec<_>>().join("\n")),
        (None, Err(_)) => ("in base64, ", BASE64_STANDARD.encode(bytes)),
    };
    vec![format!("value ({kind}{} bytes)", bytes.len()), text]
}
