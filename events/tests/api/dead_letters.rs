//! Records that cannot be handled.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, Utc};
use events::{
    consumer::{HandleError, Record},
    contract::OrderPlaced,
    kafka::KafkaConfig,
    testing::TestTopics,
};

use crate::{
    running::{GROUP, Running},
    sample::{TRACEPARENT, headers},
};

/// Sends one poisonous record between two good ones; returns its dead letter, and how often the handler saw it.
async fn bury<F, R>(topics: &TestTopics, poison: &[u8], handle: F) -> (Record, usize)
where
    F: Fn(Record) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), HandleError>> + Send + 'static,
{
    let extra = [("event_id", "e-1"), ("tenant", "acme"), ("traceparent", TRACEPARENT), ("tracestate", "acme=1")];
    topics.send("notifications", "k", "good", &[]).await;
    topics.send("notifications", "k", poison, &extra).await;
    topics.send("notifications", "k", "good", &[]).await;
    let config = KafkaConfig { retry_delays_ms: vec![1, 2, 3], ..topics.config() };
    let (calls, good) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, handled) = (Arc::clone(&calls), Arc::clone(&good));
    let running = Running::handler(&config, "notifications", move |record| {
        let work = if record.payload == b"good" {
            handled.fetch_add(1, Ordering::SeqCst);
            None
        } else {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(handle(record))
        };
        async move {
            match work {
                Some(work) => work.await,
                None => Ok(()),
            }
        }
    });
    topics.drained(GROUP, "notifications").await;
    running.stop().await;
    assert_eq!(topics.count("dlq").await, 1);
    assert_eq!(good.load(Ordering::SeqCst), 2, "the good ones on both sides are handled, once");
    (topics.reader("dlq").next().await, calls.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_transient_failure_is_repeated_as_often_as_configured_and_then_buried_with_all_headers() {
    let topics = TestTopics::create().await;
    let (letter, calls) = bury(&topics, b"poison", |_| async { Err(HandleError::Transient("no luck".into())) }).await;
    assert_eq!(calls, 4, "once, and three repeats");
    assert_eq!((letter.key_text(), letter.payload.as_slice()), (Some("k"), b"poison".as_slice()));
    let mut all = headers(&letter);
    let timestamp = all.remove("dlq.original.timestamp").unwrap();
    assert!(timestamp.parse::<i64>().unwrap() > 1_700_000_000_000, "{timestamp}");
    let failed_at: DateTime<Utc> = all.remove("dlq.failed_at").unwrap().parse().unwrap();
    assert!((Utc::now() - failed_at).num_seconds().abs() < 60, "{failed_at}");
    let expected = [
        ("dlq.attempts", "4"),
        ("dlq.attempts.total", "4"),
        ("dlq.consumer", GROUP),
        ("dlq.error.type", "transient"),
        ("dlq.exception.class", "HandleError"),
        ("dlq.original.key", "k"),
        ("dlq.original.offset", "1"),
        ("dlq.original.partition", "0"),
        ("dlq.original.topic", &topics.config().named("notifications")),
        ("dlq.reason", "no luck"),
        ("dlq.replays", "0"),
        ("event_id", "e-1"),
        ("tenant", "acme"),
        ("traceparent", TRACEPARENT),
        ("tracestate", "acme=1"),
    ];
    let all: Vec<(&str, &str)> = all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_transient_failure_that_passes_is_no_dead_letter() {
    let topics = TestTopics::create().await;
    topics.send("notifications", "k", "x", &[]).await;
    let config = KafkaConfig { retry_delays_ms: vec![1, 2, 3], ..topics.config() };
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let running = Running::handler(&config, "notifications", move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move { if call < 3 { Err(HandleError::Transient("not yet".into())) } else { Ok(()) } }
    });
    topics.drained(GROUP, "notifications").await;
    running.stop().await;
    assert_eq!((calls.load(Ordering::SeqCst), topics.count("dlq").await), (4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_permanent_failure_is_buried_at_once() {
    let topics = TestTopics::create().await;
    let (letter, calls) = bury(&topics, b"poison", |_| async { Err(HandleError::Permanent("never".into())) }).await;
    let all = headers(&letter);
    assert_eq!((calls, all["dlq.attempts"].as_str(), all["dlq.error.type"].as_str()), (1, "1", "permanent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_decoded_is_buried_at_once() {
    let topics = TestTopics::create().await;
    let decode = |record: Record| async move { record.decode::<OrderPlaced>().map(drop) };
    let (letter, calls) = bury(&topics, &[0xff, 0x00, b'{'], decode).await;
    assert_eq!((calls, letter.payload.as_slice()), (1, [0xff, 0x00, b'{'].as_slice()));
    let all = headers(&letter);
    assert!(all["dlq.reason"].starts_with("not an event: "));
    assert_eq!(all["dlq.exception.class"], "serde_json::Error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_of_a_later_schema_is_buried_and_not_misread() {
    let topics = TestTopics::create().await;
    let order = crate::sample::placed(uuid::Uuid::nil(), Vec::new());
    let mut event = events::envelope::Envelope::new(order.order_id, 1, order);
    event.schema_version = 2;
    let decode = |record: Record| async move { record.decode::<OrderPlaced>().map(drop) };
    let (letter, _) = bury(&topics, crate::sample::json(&event).as_bytes(), decode).await;
    assert_eq!(headers(&letter)["dlq.reason"], "OrderPlaced version 2 is not OrderPlaced up to 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_is_buried_wherever_it_happens() {
    for early in [true, false] {
        let topics = TestTopics::create().await;
        let panic = move |_| {
            assert!(!early, "on purpose, before there is a future");
            async { panic!("on purpose, within the future") }
        };
        let (letter, calls) = bury(&topics, b"poison", panic).await;
        let all = headers(&letter);
        let told = (all["dlq.reason"].as_str(), all["dlq.exception.class"].as_str());
        assert_eq!((calls, told), (1, ("the handler panicked", "panic")), "early: {early}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_largest_record_and_the_longest_reason_still_fit_into_a_dead_letter() {
    let topics = TestTopics::create().await;
    // 1,048,588 bytes are what a broker takes; noise, which does not compress
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let poison: Vec<u8> = noise.take(1_048_300).collect();
    let refuse = |record: Record| async move { Err(HandleError::permanent("ä".repeat(record.payload.len()))) };
    let (letter, _) = bury(&topics, &poison, refuse).await;
    assert_eq!(letter.payload.len(), poison.len());
    assert_eq!(headers(&letter)["dlq.reason"].chars().count(), 1_001);
}
