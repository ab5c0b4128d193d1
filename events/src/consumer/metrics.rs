//! What `/metrics` tells of a consumer: records by what became of them, how many are being handled, and how old they were.

mod lag;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chassis::Process;
use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Unit,
};
use serde::Deserialize;
use telemetry::kafka::Outcome;

pub(super) use lag::Lag;

use super::Record;

/// Buckets of the age, in seconds: from a record that nobody kept waiting to one that waited for a repair.
const AGES: [f64; 15] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Group {
    messaging_consumer_group_name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reader {
    messaging_consumer_group_name: &'static str,
    messaging_destination_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    messaging_consumer_group_name: &'static str,
    messaging_destination_name: String,
    outcome: &'static str,
}

type Ages = Family<Reader, Histogram, fn() -> Histogram>;

/// Metrics of one consumer group. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    group: &'static str,
    retries: Family<Reader, Counter>,
    dead_letters: Family<Reader, Counter>,
    duplicates: Family<Reader, Counter>,
    records: Family<Delivered, Counter>,
    in_flight: Family<Group, Gauge>,
    ages: Ages,
    topics: Arc<Mutex<BTreeMap<String, Arc<TopicTally>>>>,
}

impl Tally {
    pub(super) fn register(process: &Process, group: &'static str, topics: &[String]) -> Self {
        let tally = Self {
            group,
            retries: Family::default(),
            dead_letters: Family::default(),
            duplicates: Family::default(),
            records: Family::default(),
            in_flight: Family::default(),
            ages: Family::new_with_constructor(|| Histogram::new(AGES)),
            topics: Arc::default(),
        };
        for topic in topics {
            drop(tally.of(topic));
        }
        let mut registry = process.registry();
        registry.register("throughline_consumer_retries", "Repeats of records that failed", tally.retries.clone());
        registry.register("throughline_consumer_dead_letters", "Records given up", tally.dead_letters.clone());
        registry.register("throughline_consumer_duplicates", "Records whose effect was there already", tally.duplicates.clone());
        registry.register("throughline_consumer_records", "Deliveries by what became of them", tally.records.clone());
        registry.register("throughline_consumer_in_flight", "Records that are being handled", tally.in_flight.clone());
        let help = "From an event to the end of its handling";
        registry.register_with_unit("throughline_consumer_end_to_end_age", help, Unit::Seconds, tally.ages.clone());
        drop(registry);
        tally
    }

    /// The series of one topic.
    pub(super) fn of(&self, topic: &str) -> Arc<TopicTally> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let known = topics.entry(topic.to_owned()).or_insert_with(|| Arc::new(self.resolve(topic)));
        Arc::clone(known)
    }

    fn resolve(&self, topic: &str) -> TopicTally {
        let reader = Reader { messaging_consumer_group_name: self.group, messaging_destination_name: topic.to_owned() };
        let delivered = |outcome: Outcome| Delivered {
            messaging_consumer_group_name: self.group,
            messaging_destination_name: topic.to_owned(),
            outcome: outcome.name(),
        };
        TopicTally {
            retries: self.retries.get_or_create_owned(&reader),
            dead_letters: self.dead_letters.get_or_create_owned(&reader),
            duplicates: self.duplicates.get_or_create_owned(&reader),
            records: Outcome::ALL.map(|outcome| (outcome, self.records.get_or_create_owned(&delivered(outcome)))),
            in_flight: self.in_flight.get_or_create_owned(&Group { messaging_consumer_group_name: self.group }),
            ages: self.ages.get_or_create_owned(&reader),
        }
    }
}

/// Metrics about one topic, looked up once and not for each record.
#[derive(Debug)]
pub(super) struct TopicTally {
    retries: Counter,
    dead_letters: Counter,
    duplicates: Counter,
    records: [(Outcome, Counter); 6],
    in_flight: Gauge,
    ages: Histogram,
}

impl TopicTally {
    pub(super) fn retry(&self) {
        self.retries.inc();
    }

    /// A record's handling begins.
    pub(super) fn begin(&self) {
        self.in_flight.inc();
    }

    /// A record's handling has ended.
    pub(super) fn end(&self, record: &Record, outcome: Outcome) {
        self.in_flight.dec();
        if let Some((_, count)) = self.records.iter().find(|(of, _)| *of == outcome) {
            count.inc();
        }
        match outcome {
            Outcome::DeadLettered => drop(self.dead_letters.inc()),
            Outcome::Duplicate => drop(self.duplicates.inc()),
            Outcome::Processed | Outcome::Ignored | Outcome::Postponed | Outcome::Abandoned => {}
        }
        if matches!(outcome, Outcome::Processed | Outcome::Duplicate | Outcome::DeadLettered)
            && let Some(age) = age(record)
        {
            self.ages.observe(age);
        }
    }
}

/// Seconds since the event happened; since the record was sent where it is no event.
fn age(record: &Record) -> Option<f64> {
    #[derive(Deserialize)]
    struct Event {
        occurred_at: DateTime<Utc>,
    }
    let event = serde_json::from_slice(&record.payload).ok().map(|event: Event| event.occurred_at);
    let since = event.or_else(|| DateTime::from_timestamp_millis(record.timestamp_ms?))?;
    // clocks of different machines may disagree
    Some(Utc::now().signed_duration_since(since).to_std().unwrap_or_default().as_secs_f64())
}
