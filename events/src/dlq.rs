//! Dead letters: records that will not be handled, kept with all that is needed to repair and replay them.
//!
//! [`send`] writes them; [`Desk`] reads them; [`Replayer`] sends them to where they came from, once more; [`Desk::purge`] does
//! away with them. What was done about a letter is a mark in a topic of its own: a letter without one is open.

mod desk;
mod filter;
mod headers;
mod letter;
mod mark;
mod patch;
mod purge;
mod reader;
mod replay;

use ::kafka::message::OwnedHeaders;
use chrono::{DateTime, Utc};
use telemetry::context::TraceContext;

use crate::{
    consumer::{HandleError, Record},
    producer::{Outgoing, Producer, SendError},
    topics::DLQ,
};

pub use desk::{Counts, Desk, DlqError, Scan};
pub use filter::Filter;
pub use letter::{Facts, Letter, LetterId, Round};
pub use mark::{Mark, State};
pub use purge::Purged;
pub use replay::{Plan, Replayed, Replayer};

/// Characters of a reason that are kept: it may quote the record, and has to fit into a record beside it.
const REASON_LENGTH: usize = 1_000;

/// Sends a record to the dead letter topic, below the current span, and waits for the acknowledgement. `attempts` is how often
/// it was tried this time.
///
/// # Errors
/// [`SendError`]: nothing may be committed then.
pub async fn send(producer: &Producer, record: &Record, consumer: &str, error: &HandleError, attempts: usize) -> Result<(), SendError> {
    let topic = producer.named(DLQ);
    producer.send_record(Burial::of(record, consumer, error, attempts).outgoing(&topic)).await
}

/// As [`send`], below the span that `parent` names: for work that outlived the span which began it.
///
/// # Errors
/// [`SendError`]
pub async fn send_below(
    producer: &Producer,
    parent: &TraceContext,
    record: &Record,
    consumer: &str,
    error: &HandleError,
    attempts: usize,
) -> Result<(), SendError> {
    bury(producer, parent, &Burial::of(record, consumer, error, attempts)).await
}

/// Sends what is told of a record, below the span that `parent` names.
pub(crate) async fn bury(producer: &Producer, parent: &TraceContext, burial: &Burial<'_>) -> Result<(), SendError> {
    let topic = producer.named(DLQ);
    producer.enqueue(burial.outgoing(&topic), parent).await?.acknowledged().await.map(drop)
}

/// A record that is given up, and why.
pub(crate) struct Burial<'a> {
    /// The topic that it is in, or was to be sent to.
    pub(crate) topic: &'a str,
    /// Partition and offset; none for one that never got there.
    pub(crate) position: Option<(i32, i64)>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a OwnedHeaders,
    pub(crate) consumer: &'a str,
    pub(crate) error: &'a HandleError,
    pub(crate) attempts: usize,
}

impl<'a> Burial<'a> {
    fn of(record: &'a Record, consumer: &'a str, error: &'a HandleError, attempts: usize) -> Self {
        Self {
            topic: &record.topic,
            position: Some((record.partition, record.offset)),
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value(),
            headers: &record.headers,
            consumer,
            error,
            attempts,
        }
    }

    fn outgoing<'b>(&'b self, topic: &'b str) -> Outgoing<'b> {
        let mut headers = headers::own(self.headers);
        for (name, value) in self.facts(Utc::now()) {
            headers = headers::with(headers, name, &value);
        }
        Outgoing { topic, key: self.key, value: self.value, headers }
    }

    fn facts(&self, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let before = |name: &str| headers::number(self.headers, name).unwrap_or(0);
        let attempts = self.attempts as u64;
        let mut facts = vec![
            (headers::REASON, shortened(&self.error.to_string(), REASON_LENGTH)),
            (headers::ERROR_TYPE, self.error.kind().to_owned()),
            (headers::CLASS, self.error.class().to_owned()),
            (headers::TOPIC, self.topic.to_owned()),
            (headers::ATTEMPTS, attempts.to_string()),
            (headers::ATTEMPTS_TOTAL, before(headers::ATTEMPTS_TOTAL).saturating_add(attempts).to_string()),
            (headers::CONSUMER, self.consumer.to_owned()),
            (headers::FAILED_AT, headers::instant(now)),
            (headers::REPLAYS, before(headers::REPLAYS).to_string()),
        ];
        if let Some((partition, offset)) = self.position {
            facts.extend([(headers::PARTITION, partition.to_string()), (headers::OFFSET, offset.to_string())]);
        }
        facts.extend(self.timestamp_ms.map(|ms| (headers::TIMESTAMP, ms.to_string())));
        facts.extend(self.key.map(headers::of_key));
        // what an earlier round left goes on with the record
        let kept = [headers::HISTORY, headers::PATCHED];
        facts.extend(kept.into_iter().filter_map(|name| Some((name, headers::text(self.headers, name)?.to_owned()))));
        facts
    }
}

/// The first characters of a text.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
