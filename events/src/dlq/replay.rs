//! Sending letters to where they came from, once more.

use ::kafka::message::OwnedHeaders;
use chrono::Utc;
use serde::Serialize;
use serde_json::Value;

use super::{
    Desk, DlqError, Letter, LetterId, Mark, State,
    desk::write,
    headers::{self, with},
    patch::merge,
    reader::bounds,
};
use crate::producer::{Outgoing, Producer, Sending};

/// What a replay sends.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which letter.
    pub id: LetterId,
    /// To which topic.
    pub topic: String,
    /// Key, as it was.
    pub key: Option<Vec<u8>>,
    /// Value, as it was or patched; none: a tombstone.
    pub value: Option<Vec<u8>>,
    /// How often it will have been replayed.
    pub replays: u64,
    headers: OwnedHeaders,
    letter: Letter,
}

/// Where a letter went.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Which letter.
    pub id: LetterId,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// Replays letters. A crash between sending and marking repeats a letter at the next replay, with the same event id.
pub struct Replayer<'a> {
    desk: &'a Desk,
    producer: Producer,
    patch: Option<Value>,
    again: bool,
    /// Topics that were looked at, and whether they are there.
    topics: std::collections::HashMap<String, bool>,
}

impl<'a> Replayer<'a> {
    /// With a `patch` values are changed (RFC 7396); `again` takes letters that have a mark already.
    ///
    /// # Errors
    /// [`DlqError`] where marks cannot be written.
    pub fn new(desk: &'a Desk, patch: Option<Value>, again: bool) -> Result<Self, DlqError> {
        desk.demand_marks()?;
        let producer = Producer::new(&desk.config, "dlq-replay")?;
        Ok(Self { desk, producer, patch, again, topics: std::collections::HashMap::new() })
    }

    /// What a replay of this letter sends, and nothing sent. An error says why it cannot be.
    ///
    /// # Errors
    /// A sentence about this letter.
    pub async fn plan(&mut self, letter: Letter) -> Result<Plan, String> {
        let facts = &letter.facts;
        let mark = self.desk.mark(facts);
        if let Some(mark) = mark.filter(|mark| mark.state != State::Open && !self.again) {
            return Err(format!("was {} at {}: --again sends it once more", mark.state.name(), headers::instant(mark.at)));
        }
        let replays = facts.replays.max(mark.map_or(0, |mark| mark.replays)) + 1;
        let topic = facts.round.topic.clone();
        if topic.is_empty() {
            return Err("does not say which topic it is from: it was not written by this mesh".to_owned());
        }
        if !self.is_there(&topic).await.map_err(|error| error.to_string())? {
            return Err(format!("is from the topic {topic}, which is not there"));
        }
        let (value, patched) = self.value(&letter.record.payload, letter.record.tombstone)?;
        let headers = headers_of(&letter, replays, patched);
        Ok(Plan { id: letter.facts.id, topic, key: letter.record.key.clone(), value, replays, headers, letter })
    }

    fn value(&self, payload: &[u8], tombstone: bool) -> Result<(Option<Vec<u8>>, bool), String> {
        let Some(patch) = &self.patch else { return Ok(((!tombstone).then(|| payload.to_vec()), false)) };
        let mut value: Value = serde_json::from_slice(payload).map_err(|error| format!("cannot be patched, it is no JSON: {error}"))?;
        merge(&mut value, patch);
        Ok((Some(serde_json::to_vec(&value).map_err(|error| error.to_string())?), true))
    }

    async fn is_there(&mut self, topic: &str) -> Result<bool, DlqError> {
        if let Some(known) = self.topics.get(topic) {
            return Ok(*known);
        }
        let there = bounds(&self.desk.config, topic).await?.is_some();
        self.topics.insert(topic.to_owned(), there);
        Ok(there)
    }

    /// Sends all, in order, and marks each that the broker has acknowledged.
    pub async fn send(&self, plans: Vec<Plan>) -> Vec<(LetterId, Result<Replayed, String>)> {
        let mut sent = Vec::with_capacity(plans.len());
        for plan in plans {
            let sending = self.hand_over(&plan).await.map_err(|error| error.to_string());
            sent.push((plan, sending));
        }
        let mut marked = Vec::with_capacity(sent.len());
        for (plan, sending) in sent {
            marked.push((plan.id, self.acknowledged(plan, sending).await));
        }
        let mut outcomes = Vec::with_capacity(marked.len());
        for (id, outcome) in marked {
            outcomes.push((id, settled(outcome).await));
        }
        outcomes
    }

    async fn hand_over(&self, plan: &Plan) -> Result<Sending, crate::producer::SendError> {
        let record = Outgoing { topic: &plan.topic, key: plan.key.as_deref(), value: plan.value.as_deref(), headers: plan.headers.clone() };
        self.producer.enqueue_again(record, &plan.letter.trace()).await
    }

    /// Waits for the record, then hands the mark over.
    async fn acknowledged(&self, plan: Plan, sending: Result<Sending, String>) -> Result<(Replayed, Sending), String> {
        let (partition, offset) = sending?.acknowledged().await.map_err(|error| error.to_string())?;
        let replayed = Replayed { id: plan.id, topic: plan.topic, partition, offset };
        let mark = Mark {
            state: State::Replayed,
            at: Utc::now(),
            topic: Some(replayed.topic.clone()),
            partition: Some(partition),
            offset: Some(offset),
            replays: plan.replays,
            letter_ms: plan.letter.facts.written_ms,
        };
        let sending = write(&self.producer, plan.id, Some(&mark)).await.map_err(|error| unmarked(&error))?;
        Ok((replayed, sending))
    }
}

/// Waits for the mark.
async fn settled(outcome: Result<(Replayed, Sending), String>) -> Result<Replayed, String> {
    let (replayed, sending) = outcome?;
    sending.acknowledged().await.map(|_| replayed).map_err(|error| unmarked(&error))
}

fn unmarked(error: &crate::producer::SendError) -> String {
    format!("was sent and is not marked, so that another replay sends it twice: {error}")
}

/// The record's own headers, and what has to go on with it.
fn headers_of(letter: &Letter, replays: u64, patched: bool) -> OwnedHeaders {
    let facts = &letter.facts;
    let history = serde_json::to_string(&facts.history_at(Utc::now(), patched)).unwrap_or_default();
    let mut all = headers::own(&letter.record.headers);
    all = with(all, headers::REPLAYS, &replays.to_string());
    all = with(all, headers::ATTEMPTS_TOTAL, &facts.attempts_total.to_string());
    all = with(all, headers::HISTORY, &history);
    if patched || facts.round.patched {
        all = with(all, headers::PATCHED, "true");
    }
    all
}
