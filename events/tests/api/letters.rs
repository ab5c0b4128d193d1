//! Dead letters for tests, and what is done about them.

use std::collections::BTreeSet;

use events::{
    consumer::{HandleError, Record},
    dlq::{self, Counts, Desk, Facts, Filter, Letter, LetterId, Replayed, Replayer, State},
    producer::Producer,
    testing::TestTopics,
};
use kafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};

use crate::running::{GROUP, pass_traces_on};

/// A record of `notifications` that somebody read.
pub(crate) fn record(topics: &TestTopics, key: &str, payload: &str) -> Record {
    Record {
        topic: topics.config().named("notifications"),
        partition: 0,
        offset: 7,
        timestamp_ms: Some(1_700_000_000_000),
        key: Some(key.into()),
        payload: payload.into(),
        tombstone: false,
        headers: OwnedHeaders::new().insert(Header { key: "event_id", value: Some("e-1") }),
    }
}

pub(crate) fn producer(topics: &TestTopics) -> Producer {
    pass_traces_on();
    Producer::new(&topics.config(), "test").unwrap()
}

/// Buries records with these keys, each with its key as its reason.
pub(crate) async fn bury(topics: &TestTopics, keys: &[&str]) {
    let producer = producer(topics);
    for key in keys {
        let error = HandleError::permanent(format!("Because of {key}"));
        dlq::send(&producer, &record(topics, key, &json!({ "id": key }).to_string()), GROUP, &error, 1).await.unwrap();
    }
}

pub(crate) async fn desk(topics: &TestTopics) -> Desk {
    Desk::open(&topics.config()).await.unwrap()
}

pub(crate) async fn letters(desk: &Desk, filter: &Filter) -> Vec<(Letter, State)> {
    let (mut scan, mut all) = (desk.scan(filter).unwrap(), Vec::new());
    while let Some(found) = scan.next().await.unwrap() {
        all.push(found);
    }
    all
}

pub(crate) async fn offsets(desk: &Desk, filter: &Filter) -> Vec<i64> {
    letters(desk, filter).await.into_iter().map(|(letter, _)| letter.facts.id.offset).collect()
}

pub(crate) async fn facts(desk: &Desk, filter: &Filter) -> Vec<Facts> {
    letters(desk, filter).await.into_iter().map(|(letter, _)| letter.facts).collect()
}

pub(crate) fn ids(offsets: &[i64]) -> Filter {
    let ids: BTreeSet<LetterId> = offsets.iter().map(|offset| LetterId { partition: 0, offset: *offset }).collect();
    Filter { ids, ..Filter::default() }
}

/// Replays what is meant; the outcomes in order.
pub(crate) async fn replay(topics: &TestTopics, filter: &Filter, patch: Option<Value>, again: bool) -> Vec<Result<Replayed, String>> {
    let desk = desk(topics).await;
    let mut replayer = Replayer::new(&desk, patch, again).unwrap();
    let mut outcomes = Vec::new();
    for (letter, _) in letters(&desk, filter).await {
        match replayer.plan(letter).await {
            Ok(plan) => outcomes.extend(replayer.send(vec![plan]).await.into_iter().map(|(_, outcome)| outcome)),
            Err(reason) => outcomes.push(Err(reason)),
        }
    }
    outcomes
}

pub(crate) async fn counts(topics: &TestTopics) -> Counts {
    let mut counts = Counts::default();
    letters(&desk(topics).await, &Filter::default()).await.iter().for_each(|(_, state)| counts.add(*state));
    counts
}
