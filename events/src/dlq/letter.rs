//! A dead letter as it is read.

use std::{fmt, str::FromStr};

use ::kafka::message::{Headers as _, OwnedHeaders};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use telemetry::context::TraceContext;

use super::headers::{self, number, text};
use crate::consumer::Record;

/// Rounds that are kept of a record that fails again and again: the latest.
const ROUNDS: usize = 20;
/// Characters of the reason of an earlier round.
const OLD_REASON_LENGTH: usize = 200;

/// Where a letter lies, which names it: `PARTITION:OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Partition of the dead letter topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts = text.split_once(':').filter(|(partition, offset)| digits(partition) && digits(offset));
        let id = parts.and_then(|(partition, offset)| Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? }));
        id.ok_or_else(|| "an id is PARTITION:OFFSET, for example 0:42".to_owned())
    }
}

impl Serialize for LetterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One time that a record was given up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Round {
    /// Why.
    pub reason: String,
    /// `permanent`, `transient` or `uncertain`.
    pub error_type: String,
    /// Rust type of what failed.
    pub exception_class: String,
    /// How often it was tried in this round.
    pub attempts: u64,
    /// Who gave it up.
    pub consumer: String,
    /// Where it was.
    pub topic: String,
    /// Partition; none where it never got there.
    pub partition: Option<i32>,
    /// Offset.
    pub offset: Option<i64>,
    /// When it was given up.
    pub failed_at: Option<DateTime<Utc>>,
    /// When it was sent once more, which ended the round; none for the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<DateTime<Utc>>,
    /// Whether its value was changed then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub patched: bool,
}

/// What a letter's headers tell, without its value.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// Where it lies.
    pub id: LetterId,
    /// This round.
    #[serde(flatten)]
    pub round: Round,
    /// When the record was first sent, milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The record's key, where it is text.
    pub key: Option<String>,
    /// The record's key in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<String>,
    /// How often it was tried in all rounds.
    pub attempts_total: u64,
    /// How often it was replayed before.
    pub replays: u64,
    /// The earlier rounds, oldest first; the latest 20.
    pub history: Vec<Round>,
    /// The trace in which all of it happened.
    pub trace_id: Option<String>,
    /// When the letter was written: tells a letter from one of the same id in an earlier topic of the name.
    #[serde(skip)]
    pub written_ms: Option<i64>,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it tells.
    pub facts: Facts,
    /// The letter itself: key, value and all headers.
    pub record: Record,
}

impl Letter {
    /// Reads what there is: a record of somebody else in the topic is a letter of which little is known.
    pub fn of(record: Record) -> Self {
        Self { facts: Facts::of(&record), record }
    }

    /// All headers of the letter, in order.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.record.headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    }

    /// The context of the span that wrote it.
    pub fn trace(&self) -> TraceContext {
        let header = |name| text(&self.record.headers, name).map(str::to_owned);
        TraceContext { traceparent: header("traceparent"), tracestate: header("tracestate") }
    }
}

impl Facts {
    fn of(record: &Record) -> Self {
        let headers = &record.headers;
        let said = |name| text(headers, name).unwrap_or_default().to_owned();
        let key = record.key_text().map(str::to_owned);
        let key_base64 = record.key.as_ref().filter(|_| key.is_none()).map(|key| BASE64_STANDARD.encode(key));
        let round = Round {
            reason: said(headers::REASON),
            error_type: said(headers::ERROR_TYPE),
            exception_class: said(headers::CLASS),
            attempts: number(headers, headers::ATTEMPTS).unwrap_or(0),
            consumer: said(headers::CONSUMER),
            topic: said(headers::TOPIC),
            partition: text(headers, headers::PARTITION).and_then(|partition| partition.parse().ok()),
            offset: text(headers, headers::OFFSET).and_then(|offset| offset.parse().ok()),
            failed_at: failed_at(record),
            replayed_at: None,
            patched: text(headers, headers::PATCHED) == Some("true"),
        };
        Self {
            id: LetterId { partition: record.partition, offset: record.offset },
            timestamp_ms: text(headers, headers::TIMESTAMP).and_then(|ms| ms.parse().ok()),
            key,
            key_base64,
            attempts_total: number(headers, headers::ATTEMPTS_TOTAL).unwrap_or(round.attempts),
            replays: number(headers, headers::REPLAYS).unwrap_or(0),
            history: history(headers),
            trace_id: text(headers, "traceparent").and_then(|context| Some(context.split('-').nth(1)?.to_owned())),
            written_ms: record.timestamp_ms,
            round,
        }
    }

    /// The history that a replay now sends along: this round is its last.
    pub(super) fn history_at(&self, now: DateTime<Utc>, patched: bool) -> Vec<Round> {
        let reason = super::shortened(&self.round.reason, OLD_REASON_LENGTH);
        let mut rounds = self.history.clone();
        rounds.push(Round { reason, replayed_at: Some(now), patched, ..self.round.clone() });
        let over = rounds.len().saturating_sub(ROUNDS);
        rounds.split_off(over)
    }
}

/// What the header says, else when the letter was written.
fn failed_at(record: &Record) -> Option<DateTime<Utc>> {
    let told = text(&record.headers, headers::FAILED_AT).and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    told.map(|at| at.to_utc()).or_else(|| DateTime::from_timestamp_millis(record.timestamp_ms?))
}

fn history(headers: &OwnedHeaders) -> Vec<Round> {
    text(headers, headers::HISTORY).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is_one() {
        let id: LetterId = "3:42".parse().unwrap();
        assert_eq!((id, id.to_string().as_str()), (LetterId { partition: 3, offset: 42 }, "3:42"));
        for wrong in ["", "3", "3:", ":4", "-1:4", "3:4:5", "3:+4", "a:b", "99999999999:1", "1:99999999999999999999"] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_latest() {
        let record = Record {
            topic: "dlq".into(),
            partition: 0,
            offset: 0,
            timestamp_ms: Some(0),
            key: None,
            payload: Vec::new(),
            tombstone: true,
            headers: headers::with(OwnedHeaders::new(), headers::REASON, &"ä".repeat(900)),
        };
        let mut facts = Facts::of(&record);
        for turn in 0..30 {
            facts.round.attempts = turn;
            facts.history = facts.history_at(Utc::now(), false);
        }
        assert_eq!((facts.history.len(), facts.history[0].attempts, facts.history[19].attempts), (20, 10, 29));
        assert!(facts.history.iter().all(|round| round.reason.chars().count() == 201));
    }
}
