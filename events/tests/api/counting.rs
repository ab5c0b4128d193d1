//! What `/metrics` says of outboxes and consumers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use chassis::testing::{TestProxy, metric};
use db::{roles::Role, testing::TestDatabase};
use events::{
    consumer::HandleError,
    kafka::KafkaConfig,
    testing::{TestTopics, eventually},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    relay::{OFTEN, Replica, admin, emptied, write},
    running::{GROUP, Running},
};

const ROWS: &str = "throughline_outbox_rows";
const AGE: &str = "throughline_outbox_oldest_age_seconds";
const PUBLISHED: &str = "throughline_relay_records_total{result=\"published\"}";
const FAILED: &str = "throughline_relay_records_total{result=\"failed\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rows_that_wait_are_counted_and_grow_old_until_they_are_published() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    for _ in 0..3 {
        write(&mut admin(&database).await, Uuid::now_v7(), 1, None).await;
    }
    let nobody = KafkaConfig { brokers: "127.0.0.1:1".into(), delivery_timeout_ms: 100, ..topics.config() };
    let cut_off = Replica::start(&OFTEN, &nobody, &database.url(Role::Orders), "cut-off");
    eventually("three rows are seen", async || metric(&cut_off.process, ROWS) == Some(3.0)).await;
    eventually("they grow old", async || metric(&cut_off.process, AGE) > Some(1.0)).await;
    eventually("failures are counted", async || metric(&cut_off.process, FAILED) >= Some(3.0)).await;
    assert_eq!(metric(&cut_off.process, PUBLISHED), Some(0.0));
    drop(cut_off);
    let good = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "good");
    emptied(&database).await;
    eventually("none waits", async || (metric(&good.process, ROWS), metric(&good.process, AGE)) == (Some(0.0), Some(0.0))).await;
    assert_eq!((metric(&good.process, PUBLISHED), metric(&good.process, FAILED)), (Some(3.0), Some(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_postgres_is_silent_no_old_number_is_shown() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let (proxy, url) = TestProxy::for_url(&database.url(Role::Orders)).await;
    let replica = Replica::start(&OFTEN, &topics.config(), &url, "one");
    eventually("the outbox is seen", async || metric(&replica.process, ROWS) == Some(0.0)).await;
    proxy.freeze();
    eventually("it is not seen any more", async || (metric(&replica.process, ROWS), metric(&replica.process, AGE)) == (None, None)).await;
    proxy.heal();
    eventually("it is seen again", async || metric(&replica.process, ROWS) == Some(0.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn repeats_and_dead_letters_are_counted_by_topic() {
    let topics = TestTopics::create().await;
    let topic = topics.config().named("notifications");
    let config = KafkaConfig { retry_delays_ms: vec![1, 2], ..topics.config() };
    topics.send("notifications", "k", "passes", &[]).await;
    topics.send("notifications", "k", "never", &[]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let running = Running::handler(&config, "notifications", move |record| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let fails = first || record.payload == b"never";
        async move { if fails { Err(HandleError::Transient("not yet".into())) } else { Ok(()) } }
    });
    topics.drained(GROUP, "notifications").await;
    let count = |name: &str| running.metric_of(&format!("throughline_consumer_{name}_total"), &topic, "");
    assert_eq!((count("retries"), count("dead_letters"), count("duplicates")), (Some(3.0), Some(1.0), Some(0.0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_lag_is_what_was_sent_and_not_handled_yet() {
    let topics = TestTopics::create().await;
    let topic = topics.config().named("notifications");
    let config = KafkaConfig { statistics_interval_ms: 100, ..topics.config() };
    let away = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&away);
    let running = Running::handler(&config, "notifications", move |_| {
        let away = seen.load(Ordering::SeqCst);
        async move { if away { Err(HandleError::Unavailable("on purpose".into())) } else { Ok(()) } }
    });
    let lag = || running.metric_of("messaging_kafka_consumer_lag", &topic, ",messaging_destination_partition_id=\"0\"");
    eventually("there is nothing to do", async || lag() == Some(0.0)).await;
    topics.send("notifications", "k", "0", &[]).await;
    topics.drained(GROUP, "notifications").await;
    away.store(true, Ordering::SeqCst);
    for number in 1..=4 {
        topics.send("notifications", "k", number.to_string(), &[]).await;
    }
    eventually("four wait", async || lag() == Some(4.0)).await;
    away.store(false, Ordering::SeqCst);
    eventually("none waits", async || lag() == Some(0.0)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn deliveries_are_counted_by_what_became_of_them_and_those_at_work_and_their_age_are_known() {
    let topics = TestTopics::create().await;
    let topic = topics.config().named("notifications");
    let config = KafkaConfig { retry_delays_ms: vec![1], ..topics.config() };
    let (gate, away) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(true)));
    let (held, is_away) = (Arc::clone(&gate), Arc::clone(&away));
    let running = Running::handler(&config, "notifications", move |record| {
        let (held, away) = (Arc::clone(&held), is_away.load(Ordering::SeqCst));
        async move {
            match record.payload.as_slice() {
                b"held" => held.acquire().await.map(drop).map_err(|error| HandleError::permanent(error.to_string())),
                b"never" => Err(HandleError::permanent("never")),
                b"waits" if away => Err(HandleError::unavailable("gone")),
                _ => Ok(()),
            }
        }
    });
    let outcome = |name: &str| running.metric_of("throughline_consumer_records_total", &topic, &format!(",outcome=\"{name}\""));
    let in_flight = || running.metric(&format!("throughline_consumer_in_flight{{messaging_consumer_group_name=\"{GROUP}\"}}"));
    let aged = || running.metric_of("throughline_consumer_end_to_end_age_seconds_count", &topic, "");
    for payload in ["good", "never", "held", "waits"] {
        topics.send("notifications", payload, payload, &[]).await;
    }
    eventually("one waits", async || outcome("postponed") >= Some(2.0)).await;
    eventually("one is at work", async || in_flight() == Some(1.0)).await;
    eventually("two are done", async || aged() == Some(2.0)).await;
    assert_eq!((outcome("processed"), outcome("dead_lettered"), outcome("duplicate")), (Some(1.0), Some(1.0), Some(0.0)));
    away.store(false, Ordering::SeqCst);
    gate.add_permits(1);
    topics.drained(GROUP, "notifications").await;
    assert_eq!((outcome("processed"), outcome("abandoned"), aged(), in_flight()), (Some(3.0), Some(0.0), Some(4.0), Some(0.0)));
    let old = r#"{"occurred_at":"2026-03-05T12:00:00Z"}"#;
    topics.send("notifications", "old", old, &[]).await;
    topics.drained(GROUP, "notifications").await;
    let sum = running.metric_of("throughline_consumer_end_to_end_age_seconds_sum", &topic, "");
    assert!(sum > Some(86_400.0), "the age is that of the event and not of the record: {sum:?}");
    running.stop().await;
}
