//! What was done about a letter.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Facts, LetterId};
use crate::consumer::Record;

/// Whether somebody has to look at a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was done about it.
    Open,
    /// It was sent to its topic once more.
    Replayed,
    /// It was given up for good.
    Purged,
}

impl State {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Purged => "purged",
        }
    }
}

/// The value of a record of the topic of marks; its key is the letter's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What was done.
    pub state: State,
    /// When.
    pub at: DateTime<Utc>,
    /// Where a replay sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Partition there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Offset there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// How often it was replayed.
    #[serde(default)]
    pub replays: u64,
    /// When the letter was written, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter_ms: Option<i64>,
}

impl Mark {
    pub(super) fn purged(facts: &Facts, before: Option<&Self>) -> Self {
        let replays = before.map_or(0, |mark| mark.replays);
        Self { state: State::Purged, at: Utc::now(), topic: None, partition: None, offset: None, replays, letter_ms: facts.written_ms }
    }

    /// Reads a record of the topic of marks. None for one that is not ours; without a mark where it was taken back.
    pub(super) fn read(record: &Record) -> Option<(LetterId, Option<Self>)> {
        let id = record.key_text()?.parse().ok()?;
        match record.value() {
            Some(value) => Some((id, Some(serde_json::from_slice(value).ok()?))),
            None => Some((id, None)),
        }
    }

    /// Whether it is about this letter, and not about one of the same id in a topic that was deleted since.
    pub(super) fn is_about(&self, facts: &Facts) -> bool {
        self.letter_ms.is_none() || self.letter_ms == facts.written_ms
    }
}
