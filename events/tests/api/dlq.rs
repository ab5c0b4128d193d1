//! What is done about dead letters.

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use events::{
    consumer::{HandleError, Record},
    dlq::{self, Counts, Desk, DlqError, Filter, Letter, Purged, Replayer, State},
    kafka::KafkaConfig,
    testing::{PATIENCE, TestTopics},
};
use futures::{StreamExt, TryStreamExt};
use kafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};
use telemetry::context::TraceContext;
use uuid::Uuid;

use crate::{
    letters::{bury, counts, desk, facts, ids, offsets, producer, record, replay},
    running::{GROUP, Running},
    sample::{TRACEPARENT, headers},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_filter_finds_its_letters_and_all_that_is_given_has_to_hold() {
    let topics = TestTopics::create().await;
    let producer = producer(&topics);
    let order = Record { topic: topics.config().named("orders.created"), ..record(&topics, "a", "{}") };
    let bytes = Record { key: Some(vec![0xff]), ..record(&topics, "", "{}") };
    let failures: [(&Record, &str, HandleError); 4] = [
        (&order, "dispatch", HandleError::permanent("not an event")),
        (&record(&topics, "b", "{}"), "notification", HandleError::transient("No such Mailbox")),
        (&record(&topics, "a", "{}"), "notification", HandleError::uncertain("sent?")),
        (&bytes, "analytics", HandleError::permanent("no such user")),
    ];
    for (record, consumer, error) in &failures {
        dlq::send(&producer, record, consumer, error, 1).await.unwrap();
    }
    let desk = desk(&topics).await;
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (Filter::default(), vec![0, 1, 2, 3]),
        (Filter { topic: some("orders.created"), ..Filter::default() }, vec![0]),
        (Filter { topic: Some(topics.config().named("orders.created")), ..Filter::default() }, vec![0]),
        (Filter { topic: some("orders"), ..Filter::default() }, vec![]),
        (Filter { consumer: some("notification"), ..Filter::default() }, vec![1, 2]),
        (Filter { error_type: some("uncertain"), ..Filter::default() }, vec![2]),
        (Filter { reason: some("no SUCH"), ..Filter::default() }, vec![1, 3]),
        (Filter { key: some("a"), ..Filter::default() }, vec![0, 2]),
        (Filter { key: some("/w=="), ..Filter::default() }, vec![3]),
        (Filter { key: some("a"), consumer: some("dispatch"), ..Filter::default() }, vec![0]),
        (Filter { since: Some(Utc::now() - TimeDelta::minutes(1)), ..Filter::default() }, vec![0, 1, 2, 3]),
        (Filter { before: Some(Utc::now() - TimeDelta::minutes(1)), ..Filter::default() }, vec![]),
        (Filter { state: Some(State::Replayed), ..Filter::default() }, vec![]),
        (ids(&[1, 3]), vec![1, 3]),
    ];
    for (filter, expected) in cases {
        assert_eq!(offsets(&desk, &filter).await, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_fails_again_comes_back_with_its_history_and_its_attempts_counted() {
    let topics = TestTopics::create().await;
    let config = KafkaConfig { retry_delays_ms: vec![1, 2], ..topics.config() };
    let given = [("event_id", "e-1"), ("tenant", "acme"), ("traceparent", TRACEPARENT)];
    topics.send("notifications", "k", "poison", &given).await;
    let running = Running::handler(&config, "notifications", |_| async { Err(HandleError::transient("no luck")) });
    let mut reader = topics.reader("dlq");
    let first = Letter::of(reader.next().await);
    assert_eq!((first.facts.round.attempts, first.facts.attempts_total, first.facts.replays), (3, 3, 0));
    assert_eq!(first.facts.trace_id.as_deref(), Some(&TRACEPARENT[3..35]));

    let outcomes = replay(&topics, &ids(&[0]), None, false).await;
    let sent = outcomes[0].as_ref().unwrap();
    assert_eq!((sent.topic.as_str(), sent.partition, sent.offset), (topics.config().named("notifications").as_str(), 0, 1));
    let replayed = topics.reader("notifications").take(2).await.remove(1);
    let names: Vec<String> = headers(&replayed).into_keys().collect();
    assert_eq!(names, ["dlq.attempts.total", "dlq.history", "dlq.replays", "event_id", "tenant", "traceparent"]);
    assert_eq!(headers(&replayed)["traceparent"], TRACEPARENT);

    let second = Letter::of(reader.next().await).facts;
    running.stop().await;
    assert_eq!((second.round.attempts, second.attempts_total, second.replays), (3, 6, 1));
    assert_eq!((second.round.offset, second.history.len()), (Some(1), 1));
    let round = &second.history[0];
    assert_eq!((round.offset, round.attempts, round.reason.as_str(), round.consumer.as_str()), (Some(0), 3, "no luck", GROUP));
    assert_eq!((round.error_type.as_str(), round.exception_class.as_str(), round.patched), ("transient", "HandleError", false));
    assert!(round.failed_at.unwrap() <= round.replayed_at.unwrap());

    replay(&topics, &ids(&[1]), None, false).await[0].as_ref().unwrap();
    let third = topics.reader("notifications").take(3).await.remove(2);
    let history: Value = serde_json::from_str(&headers(&third)["dlq.history"]).unwrap();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["offset"], &history[1]["offset"]), (2, &json!(0), &json!(1)));
    assert_eq!(headers(&third)["dlq.replays"], "2");
    assert_eq!(counts(&topics).await, Counts { open: 0, replayed: 2, purged: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn keys_and_values_that_are_absent_or_no_text_survive_death_and_replay() {
    type Part<'a> = Option<&'a [u8]>;

    let topics = TestTopics::create().await;
    let own = || OwnedHeaders::new().insert(Header { key: "flag", value: None::<&str> });
    let sent: [(Part<'_>, Part<'_>); 4] =
        [(None, Some(b"v")), (Some(&[0xff, 0x00]), Some(&[0xfe])), (Some(b"k"), None), (Some(b""), Some(b""))];
    for (key, value) in sent {
        topics.send_bytes("notifications", key, value, own()).await;
    }
    let running = Running::handler(&topics.config(), "notifications", |_| async { Err(HandleError::permanent("never")) });
    topics.drained(GROUP, "notifications").await;
    running.stop().await;
    let shape = |records: &[Record]| {
        let mut all: Vec<_> = records.iter().map(|record| (record.key.clone(), record.value().map(<[u8]>::to_vec))).collect();
        all.sort();
        all
    };
    let mut expected: Vec<_> = sent.iter().map(|(key, value)| (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))).collect();
    expected.sort();
    let buried = topics.reader("dlq").take(4).await;
    assert_eq!(shape(&buried), expected);
    let key_of = |key: Option<&[u8]>| {
        let letter = buried.iter().find(|letter| letter.key.as_deref() == key).unwrap();
        let all = headers(letter);
        (all.get("dlq.original.key").cloned(), all.get("dlq.original.key.base64").cloned())
    };
    assert_eq!(key_of(None), (None, None));
    assert_eq!(key_of(Some(&[0xff, 0x00])), (None, Some("/wA=".to_owned())));
    assert_eq!(key_of(Some(b"k")), (Some("k".to_owned()), None));

    for outcome in replay(&topics, &Filter::default(), None, false).await {
        outcome.unwrap();
    }
    let all = topics.reader("notifications").take(8).await;
    assert_eq!(shape(&all[4..]), expected);
    for record in &all[4..] {
        let flag = kafka::message::Headers::iter(&record.headers).find(|header| header.key == "flag").unwrap();
        assert_eq!(flag.value, None, "a header without a value has none");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_with_a_mark_is_replayed_again_only_where_that_is_asked_for() {
    let topics = TestTopics::create().await;
    bury(&topics, &["a", "b"]).await;
    replay(&topics, &ids(&[0]), None, false).await[0].as_ref().unwrap();
    let refused = replay(&topics, &ids(&[0]), None, false).await.remove(0).unwrap_err();
    assert!(refused.starts_with("was replayed at ") && refused.contains("--again"), "{refused}");
    assert_eq!(topics.count("notifications").await, 1);
    assert_eq!(offsets(&desk(&topics).await, &Filter { state: Some(State::Open), ..Filter::default() }).await, [1]);
    replay(&topics, &ids(&[0]), None, true).await[0].as_ref().unwrap();
    let records = topics.reader("notifications").take(2).await;
    let replays: Vec<String> = records.iter().map(|record| headers(record)["dlq.replays"].clone()).collect();
    assert_eq!(replays, ["1", "2"]);
    let desk = desk(&topics).await;
    let mark = desk.mark(&facts(&desk, &ids(&[0])).await[0]).unwrap().clone();
    assert_eq!((mark.state, mark.replays, mark.partition, mark.offset), (State::Replayed, 2, Some(0), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_patch_repairs_the_value_and_is_told_for_good() {
    let topics = TestTopics::create().await;
    bury(&topics, &["a"]).await;
    let letter = record(&topics, "raw", "no JSON");
    dlq::send(&producer(&topics), &letter, GROUP, &HandleError::permanent("raw"), 1).await.unwrap();
    let patch = json!({ "id": null, "more": { "x": 1 } });
    let outcomes = replay(&topics, &Filter::default(), Some(patch), false).await;
    assert!(outcomes[0].is_ok());
    assert!(outcomes[1].as_ref().unwrap_err().starts_with("cannot be patched, it is no JSON"), "{outcomes:?}");
    let record = topics.reader("notifications").next().await;
    assert_eq!(serde_json::from_slice::<Value>(&record.payload).unwrap(), json!({ "more": { "x": 1 } }));
    assert_eq!(headers(&record)["dlq.patched"], "true");
    assert_eq!(counts(&topics).await, Counts { open: 1, replayed: 1, purged: 0 });
    // it dies once more: the new letter tells of the patch
    dlq::send(&producer(&topics), &record, GROUP, &HandleError::permanent("again"), 1).await.unwrap();
    let again = &facts(&desk(&topics).await, &ids(&[2])).await[0];
    assert!(again.round.patched && again.history[0].patched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_purge_deletes_the_letters_before_the_first_open_one_and_takes_their_marks_back() {
    let topics = TestTopics::create().await;
    bury(&topics, &["a", "b", "c", "d", "e"]).await;
    let purge = async |offsets: &[i64]| {
        let mut desk = desk(&topics).await;
        let facts = facts(&desk, &ids(offsets)).await;
        desk.purge(&facts).await.unwrap()
    };
    assert_eq!(purge(&[1, 2]).await, Purged { letters: 2, deleted: 0 }, "the first is open");
    assert_eq!(counts(&topics).await, Counts { open: 3, replayed: 0, purged: 2 });
    assert_eq!(purge(&[0]).await, Purged { letters: 1, deleted: 3 });
    assert_eq!(counts(&topics).await, Counts { open: 2, replayed: 0, purged: 0 });
    assert_eq!(offsets(&desk(&topics).await, &Filter::default()).await, [3, 4]);
    let marks = topics.reader("dlq.marks").take(6).await;
    assert_eq!(marks.iter().filter(|mark| mark.tombstone).count(), 3, "nothing is told of what is gone");
    // what comes later is found, and the ids go on
    bury(&topics, &["f"]).await;
    assert_eq!(offsets(&desk(&topics).await, &Filter::default()).await, [3, 4, 5]);
    assert_eq!(purge(&[3, 4, 5]).await, Purged { letters: 3, deleted: 3 });
    assert_eq!(counts(&topics).await, Counts::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_id_that_nobody_has_is_named() {
    let topics = TestTopics::create().await;
    bury(&topics, &["a"]).await;
    let desk = desk(&topics).await;
    for id in ["0:1", "0:9223372036854775807", "7:0"] {
        let error = desk.letter(id.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, DlqError::Unknown { .. }), "{error}");
        assert_eq!(error.to_string(), format!("there is no dead letter {id}"));
    }
    assert_eq!(desk.letter("0:0".parse().unwrap()).await.unwrap().0.facts.round.reason, "Because of a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_of_somebody_else_is_listed_and_cannot_be_replayed() {
    let topics = TestTopics::create().await;
    topics.send("dlq", "k", "hello", &[("dlq.replays", "many"), ("dlq.history", "{")]).await;
    bury(&topics, &["b"]).await;
    let gone = Record { topic: topics.config().named("no-such-topic"), ..record(&topics, "c", "{}") };
    dlq::send(&producer(&topics), &gone, GROUP, &HandleError::permanent("c"), 1).await.unwrap();
    let outcomes = replay(&topics, &Filter::default(), None, false).await;
    assert!(outcomes[0].as_ref().unwrap_err().contains("which topic"), "{outcomes:?}");
    assert!(outcomes[1].is_ok(), "the rest goes on");
    assert!(outcomes[2].as_ref().unwrap_err().contains("not there"), "{outcomes:?}");
    assert_eq!(counts(&topics).await, Counts { open: 2, replayed: 1, purged: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mark_about_a_letter_of_a_topic_that_was_made_anew_says_nothing() {
    let topics = TestTopics::create().await;
    bury(&topics, &["a"]).await;
    replay(&topics, &ids(&[0]), None, false).await[0].as_ref().unwrap();
    topics.delete("dlq").await;
    topics.restore().await;
    bury(&topics, &["b"]).await;
    assert_eq!(counts(&topics).await, Counts { open: 1, replayed: 0, purged: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_broker_or_a_topic_the_answer_comes_soon() {
    let topics = TestTopics::create().await;
    let begun = Instant::now();
    let nobody = KafkaConfig { brokers: "127.0.0.1:1".into(), ..topics.config() };
    let away = Desk::open(&nobody).await.err().unwrap();
    assert!(matches!(away, DlqError::Away { .. }), "{away}");
    let elsewhere = KafkaConfig { topic_suffix: ".nobody".into(), ..topics.config() };
    let missing = Desk::open(&elsewhere).await.err().unwrap().to_string();
    assert!(missing.ends_with("has no topic dlq.nobody"), "{missing}");
    topics.delete("dlq.marks").await;
    bury(&topics, &["a"]).await;
    let desk = desk(&topics).await;
    assert_eq!(offsets(&desk, &Filter::default()).await, [0], "it can be read");
    let refused = Replayer::new(&desk, None, false).err().unwrap().to_string();
    assert!(refused.contains("has no topic dlq.marks"), "{refused}");
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_that_is_sent_for_work_elsewhere_is_in_the_trace_that_is_named() {
    let topics = TestTopics::create().await;
    let parent = TraceContext { traceparent: Some(TRACEPARENT.into()), tracestate: Some("acme=1".into()) };
    let error = HandleError::uncertain("sent, perhaps");
    dlq::send_below(&producer(&topics), &parent, &record(&topics, "k", "{}"), GROUP, &error, 2).await.unwrap();
    let all = headers(&topics.reader("dlq").next().await);
    assert_eq!((all["traceparent"].as_str(), all["tracestate"].as_str()), (TRACEPARENT, "acme=1"));
    assert_eq!((all["dlq.error.type"].as_str(), all["dlq.attempts"].as_str()), ("uncertain", "2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_letters_are_read_one_after_the_other() {
    let topics = TestTopics::create().await;
    let (producer, error) = (producer(&topics), HandleError::permanent("never"));
    let buried = futures::stream::iter(0..20_000).map(|_| async {
        let key = Uuid::now_v7().to_string();
        dlq::send(&producer, &record(&topics, &key, &"x".repeat(500)), GROUP, &error, 1).await
    });
    buried.buffer_unordered(2_000).try_collect::<()>().await.unwrap();
    let desk = desk(&topics).await;
    let (mut scan, mut count) = (desk.scan(&Filter::default()).unwrap(), 0);
    while scan.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20_000);
}
