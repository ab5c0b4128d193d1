//! Where dead letters are read, and what was done about them is known.

use std::collections::{BTreeSet, HashMap};

use ::kafka::error::KafkaError;
use serde::Serialize;

use super::{
    Facts, Filter, Letter, LetterId, Mark, State,
    reader::{Bounds, Reader, bounds},
};
use crate::{
    kafka::KafkaConfig,
    producer::{Outgoing, Producer, SendError, Sending},
    topics::{DLQ, DLQ_MARKS},
};

/// Why letters cannot be read, or nothing can be done about them.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// No broker answers.
    #[error("kafka at {brokers} does not answer: {source}")]
    Away {
        /// Where.
        brokers: String,
        /// What librdkafka says.
        source: KafkaError,
    },
    /// The broker has no such topic.
    #[error("kafka at {brokers} has no topic {topic}")]
    NoTopic {
        /// Where.
        brokers: String,
        /// Which.
        topic: String,
    },
    /// The broker answered before, and hands out no more.
    #[error("kafka stopped answering")]
    Stalled,
    /// A client could not be made, or the broker refused.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// A mark was not acknowledged.
    #[error(transparent)]
    Mark(#[from] SendError),
    /// No letter has these ids.
    #[error("there is no dead letter {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// Which.
        ids: BTreeSet<LetterId>,
    },
}

/// The dead letters as they were when it was opened, and the marks.
pub struct Desk {
    pub(super) config: KafkaConfig,
    pub(super) bounds: Bounds,
    /// None where the broker has no topic for them.
    marks: Option<HashMap<LetterId, Mark>>,
}

/// Letters by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Nothing was done about them.
    pub open: u64,
    /// Sent once more.
    pub replayed: u64,
    /// Given up for good, and not deleted yet.
    pub purged: u64,
}

impl Counts {
    /// All.
    pub fn total(self) -> u64 {
        self.open + self.replayed + self.purged
    }

    /// Counts one more.
    pub fn add(&mut self, state: State) {
        match state {
            State::Open => self.open += 1,
            State::Replayed => self.replayed += 1,
            State::Purged => self.purged += 1,
        }
    }
}

impl Desk {
    /// Looks how many letters there are and reads the marks.
    ///
    /// # Errors
    /// [`DlqError`], within seconds where no broker answers.
    pub async fn open(config: &KafkaConfig) -> Result<Self, DlqError> {
        let topic = config.named(DLQ);
        let found = bounds(config, &topic).await?;
        let bounds_of_letters = found.ok_or_else(|| DlqError::NoTopic { brokers: config.brokers.clone(), topic })?;
        let mut desk = Self { config: config.clone(), bounds: bounds_of_letters, marks: None };
        let topic = config.named(DLQ_MARKS);
        if let Some(bounds) = bounds(config, &topic).await? {
            let mut marks = HashMap::new();
            let mut reader = Reader::open(config, &topic, &bounds)?;
            while let Some(record) = reader.next().await? {
                match Mark::read(&record) {
                    Some((id, Some(mark))) => drop(marks.insert(id, mark)),
                    Some((id, None)) => drop(marks.remove(&id)),
                    None => {}
                }
            }
            desk.marks = Some(marks);
        }
        Ok(desk)
    }

    /// Letters from the earliest on that are meant; of the others nothing is kept.
    ///
    /// # Errors
    /// Where a client cannot be made.
    pub fn scan(&self, filter: &Filter) -> Result<Scan<'_>, DlqError> {
        let mut bounds = self.bounds.clone();
        if let (Some(first), Some(last)) = (filter.ids.first(), filter.ids.last()) {
            bounds.retain(|partition, _| (first.partition..=last.partition).contains(partition));
            for (partition, (begin, end)) in &mut bounds {
                let wanted = || filter.ids.iter().filter(|id| id.partition == *partition).map(|id| id.offset);
                *begin = wanted().min().unwrap_or(*end).max(*begin);
                *end = wanted().max().map_or(*begin, |last| last.saturating_add(1)).min(*end);
            }
        }
        let reader = Reader::open(&self.config, &self.config.named(DLQ), &bounds)?;
        Ok(Scan { desk: self, reader, filter: filter.clone(), missing: filter.ids.clone() })
    }

    /// Whether a letter in this state is meant.
    pub fn admits(&self, filter: &Filter, facts: &Facts, state: State) -> bool {
        filter.admits(facts, state, &self.config.topic_suffix)
    }

    /// The letter with this id.
    ///
    /// # Errors
    /// [`DlqError::Unknown`] where there is none.
    pub async fn letter(&self, id: LetterId) -> Result<(Letter, State), DlqError> {
        let ids = BTreeSet::from([id]);
        let mut scan = self.scan(&Filter { ids: ids.clone(), ..Filter::default() })?;
        scan.next().await?.ok_or(DlqError::Unknown { ids })
    }

    /// What was done about a letter.
    pub fn state(&self, facts: &Facts) -> State {
        self.mark(facts).map_or(State::Open, |mark| mark.state)
    }

    /// The mark of a letter, if it has one.
    pub fn mark(&self, facts: &Facts) -> Option<&Mark> {
        self.marks.as_ref()?.get(&facts.id).filter(|mark| mark.is_about(facts))
    }

    /// Refuses where marks cannot be written: what is done about a letter has to be known afterwards.
    pub(super) fn demand_marks(&self) -> Result<(), DlqError> {
        let missing = || DlqError::NoTopic { brokers: self.config.brokers.clone(), topic: self.config.named(DLQ_MARKS) };
        self.marks.as_ref().map(drop).ok_or_else(missing)
    }

    /// Ids of all marks.
    pub(super) fn marked(&self) -> impl Iterator<Item = LetterId> + '_ {
        self.marks.iter().flatten().map(|(id, _)| *id)
    }

    /// Remembers what was written.
    pub(super) fn note(&mut self, id: LetterId, mark: Option<Mark>) {
        let Some(marks) = &mut self.marks else { return };
        match mark {
            Some(mark) => drop(marks.insert(id, mark)),
            None => drop(marks.remove(&id)),
        }
    }
}

/// Hands a mark over; none takes it back.
pub(super) async fn write(producer: &Producer, id: LetterId, mark: Option<&Mark>) -> Result<Sending, SendError> {
    let (topic, key) = (producer.named(DLQ_MARKS), id.to_string());
    let value = mark.map(serde_json::to_vec).transpose()?;
    let headers = ::kafka::message::OwnedHeaders::new();
    producer.enqueue_untold(Outgoing { topic: &topic, key: Some(key.as_bytes()), value: value.as_deref(), headers }).await
}

/// See [`Desk::scan`].
pub struct Scan<'a> {
    desk: &'a Desk,
    reader: Reader,
    filter: Filter,
    missing: BTreeSet<LetterId>,
}

impl Scan<'_> {
    /// The next letter that is meant; none at the end.
    ///
    /// # Errors
    /// Where the broker stops answering.
    pub async fn next(&mut self) -> Result<Option<(Letter, State)>, DlqError> {
        while let Some(record) = self.reader.next().await? {
            let letter = Letter::of(record);
            self.missing.remove(&letter.facts.id);
            let state = self.desk.state(&letter.facts);
            if self.desk.admits(&self.filter, &letter.facts, state) {
                return Ok(Some((letter, state)));
            }
        }
        Ok(None)
    }

    /// Ids that were asked for and have not come: after the end, those that no letter has.
    pub fn missing(&self) -> &BTreeSet<LetterId> {
        &self.missing
    }
}
