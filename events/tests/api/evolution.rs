//! Old and new side by side: what a producer of before wrote is read today, what a producer of tomorrow adds is passed over.

use std::path::PathBuf;

use chassis::config::Common;
use events::{
    consumer::{HandleError, Record},
    contract::{UserCreated, UserDeleted, UserLoggedIn, UserLoggedOut, UserUpdated},
    dispatch,
    envelope::{Envelope, Event},
    testing::TestTopics,
};
use kafka::message::OwnedHeaders;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    running::Running,
    sample::{cancelled, fact, item, noon, notice, placed, updated},
    schema::{Kind, Validator, directory, document, files_below, kinds},
};

/// An event as a producer of a release wrote it. Files are added and never changed.
struct Golden {
    file: PathBuf,
    event: Value,
    kind: Kind,
}

impl Golden {
    fn all() -> Vec<Self> {
        let known = |event: &Value| kinds().into_iter().find(|kind| event["event_type"] == kind.name);
        let files = files_below(&directory("samples")).into_iter().map(|file| (document(&file), file));
        files.map(|(event, file)| Self { kind: known(&event).unwrap_or_else(|| panic!("{}", file.display())), event, file }).collect()
    }

    fn version(&self) -> u32 {
        u32::try_from(self.event["schema_version"].as_u64().unwrap()).unwrap()
    }
}

fn record(event: &Value) -> Record {
    let (payload, key) = (event.to_string().into_bytes(), event["aggregate_id"].as_str().map(|id| id.as_bytes().to_vec()));
    let (topic, headers) = ("any".into(), OwnedHeaders::new());
    Record { topic, partition: 0, offset: 0, timestamp_ms: None, key, payload, tombstone: false, headers }
}

fn written<T: Event>(event: &Envelope<T>) -> Value {
    serde_json::to_value(event).unwrap()
}

/// What of `part` is not in `whole`.
fn lost(at: &str, part: &Value, whole: &Value) -> Vec<String> {
    match (part, whole) {
        (Value::Object(part), Value::Object(_)) => {
            part.iter().flat_map(|(key, value)| lost(&format!("{at}/{key}"), value, &whole[key.as_str()])).collect()
        }
        (Value::Array(part), Value::Array(whole)) if part.len() == whole.len() => {
            part.iter().zip(whole).flat_map(|(part, whole)| lost(&format!("{at}[]"), part, whole)).collect()
        }
        (part, whole) if part == whole => Vec::new(),
        (part, whole) => vec![format!("{at}: {part} became {whole}")],
    }
}

/// Adds fields that nobody knows to every object.
fn with_additions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(with_additions);
            fields.insert("added_later".into(), json!({ "deep": [1, "two", null] }));
            fields.insert("added_too".into(), Value::Null);
        }
        Value::Array(values) => values.iter_mut().for_each(with_additions),
        _ => {}
    }
}

#[test]
fn what_producers_of_before_wrote_is_valid_by_the_schema_of_then_and_read_today_without_loss() {
    let (mut validator, golden) = (Validator::default(), Golden::all());
    for sample in &golden {
        let complaint = validator.complaint(&sample.kind.checked_in(sample.version()), &sample.event);
        assert_eq!(complaint, None, "{}", sample.file.display());
        let read = (sample.kind.read)(&record(&sample.event)).unwrap_or_else(|error| panic!("{}: {error}", sample.file.display()));
        // a later version may have renamed what this one has
        if sample.version() == sample.kind.version {
            assert_eq!(lost("", &sample.event, &read), [] as [&str; 0], "{}", sample.file.display());
        }
    }
    for (kind, version) in kinds().iter().flat_map(|kind| (1..=kind.version).map(move |version| (kind, version))) {
        let kept = golden.iter().any(|sample| sample.kind.name == kind.name && sample.version() == version);
        assert!(kept, "no sample of version {version} of {} in events/samples", kind.name);
    }
}

#[test]
fn what_producers_of_tomorrow_add_to_a_version_is_passed_over_by_the_readers_of_today() {
    for sample in Golden::all() {
        let mut more = sample.event.clone();
        with_additions(&mut more);
        let read = |event| (sample.kind.read)(&record(event)).unwrap_or_else(|error| panic!("{}: {error}", sample.file.display()));
        assert_eq!(read(&more), read(&sample.event), "{}", sample.file.display());
    }
}

#[test]
fn a_version_that_is_not_known_yet_is_refused_by_every_reader() {
    for sample in Golden::all() {
        let mut later = sample.event.clone();
        later["schema_version"] = (sample.kind.version + 1).into();
        assert!(matches!((sample.kind.read)(&record(&later)), Err(HandleError::Permanent { .. })), "{}", sample.file.display());
    }
}

/// Events of every type, with optional fields and without.
fn written_today() -> Vec<Value> {
    let (id, timestamp) = (Uuid::now_v7(), noon());
    let (username, email) = ("ada".to_owned(), "ada@example.com".to_owned());
    let mut without_sum = notice("ada@example.com");
    (without_sum.data.total_amount, without_sum.data.status) = (None, Some("shipped".into()));
    vec![
        written(&Envelope::new(id, 1, placed(id, vec![item(1, 2), item(2, 1)]))),
        written(&Envelope::new(id, 2, updated(id))),
        written(&Envelope::new(id, 3, cancelled(id, vec![item(1, 2)]))),
        written(&notice("ada@example.com")),
        written(&without_sum),
        written(&fact(events::contract::OrderChange::Placed, vec![item(1, 2)])),
        written(&Envelope::new(id, 1, UserCreated { user_id: id, username: username.clone(), email: email.clone(), timestamp })),
        written(&Envelope::new(id, 2, UserLoggedIn { user_id: id, session_id: id, timestamp })),
        written(&Envelope::new(id, 3, UserUpdated { user_id: id, username, email, role: "admin".into(), timestamp })),
        written(&Envelope::new(id, 4, UserLoggedOut { user_id: id, session_id: id, timestamp })),
        written(&Envelope::new(id, 5, UserDeleted { user_id: id, timestamp })),
    ]
}

#[test]
fn every_event_that_is_written_today_is_valid_by_its_schema_and_a_broken_one_is_not() {
    let (events, mut validator) = (written_today(), Validator::default());
    for kind in kinds() {
        let path = kind.checked_in(kind.version);
        let of_kind: Vec<&Value> = events.iter().filter(|event| event["event_type"] == kind.name).collect();
        assert!(!of_kind.is_empty(), "no {} was written", kind.name);
        for event in of_kind {
            assert_eq!(validator.complaint(&path, event), None, "{event:#}");
            assert!(validator.complaint(&path, &json!({ "event_id": event["event_id"] })).is_some());
            let mut broken = event.clone();
            broken["event_id"] = "17".into();
            assert!(validator.complaint(&path, &broken).is_some(), "{broken:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn orders_that_a_producer_of_before_wrote_go_through_dispatch_and_what_it_sends_is_valid() {
    let topics = TestTopics::create().await;
    let orders: Vec<Golden> = Golden::all().into_iter().filter(|sample| sample.kind.topic.starts_with("orders.")).collect();
    for sample in &orders {
        topics.send(sample.kind.topic, sample.event["aggregate_id"].as_str().unwrap(), sample.event.to_string(), &[]).await;
    }
    let config = dispatch::Config { common: Common::on_admin_port(0), kafka: topics.config() };
    let running = Running::start(|process| dispatch::run(config, process));
    let mut validator = Validator::default();
    let statuses = orders.iter().filter(|sample| sample.kind.name == "OrderUpdated").count();
    for (topic, count) in [("notifications", orders.len()), ("analytics", orders.len() - statuses)] {
        for sent in topics.reader(topic).take(count).await {
            let event: Value = serde_json::from_slice(&sent.payload).unwrap();
            let kind = kinds().into_iter().find(|kind| event["event_type"] == kind.name).unwrap();
            assert_eq!((kind.topic, validator.complaint(&kind.checked_in(kind.version), &event)), (topic, None), "{event:#}");
        }
    }
    running.stop().await;
    assert_eq!(topics.count("dlq").await, 0);
}
