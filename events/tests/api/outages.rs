//! What a handler needs is away, or the dead letter topic is: nobody's fault, and nothing is lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use events::{
    consumer::HandleError,
    kafka::KafkaConfig,
    testing::{TestTopics, eventually},
};

use crate::running::{GROUP, Running, Seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_something_is_unavailable_records_wait_in_order_and_are_no_dead_letters() {
    let topics = TestTopics::create().await;
    for turn in 0..4 {
        for key in ["a", "b"] {
            topics.send("notifications", key, turn.to_string(), &[]).await;
        }
    }
    // fails for a's second record: one before it is done, and others around it
    let (down, refusals, seen) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)), Seen::default());
    let (is_down, refused, noted) = (Arc::clone(&down), Arc::clone(&refusals), seen.clone());
    let running = Running::handler(&topics.config(), "notifications", move |record| {
        let away = is_down.load(Ordering::SeqCst) && record.key_text() == Some("a") && record.payload != b"0";
        if away {
            refused.fetch_add(1, Ordering::SeqCst);
        } else {
            noted.note(&record);
        }
        async move { if away { Err(HandleError::Unavailable("gone".into())) } else { Ok(()) } }
    });
    eventually("it was tried again and again", async || refusals.load(Ordering::SeqCst) >= 3).await;
    topics.send("notifications", "a", "4", &[]).await;
    topics.send("notifications", "b", "4", &[]).await;
    eventually("the other key goes on", async || seen.of("b").last().is_some_and(|payload| payload == "4")).await;
    assert_eq!(seen.of("a"), ["0"], "what follows in the key waits");
    let committed = topics.committed(GROUP, "notifications").await;
    assert_eq!(committed[&0], 2, "what is done before it is committed, and it is not");

    down.store(false, Ordering::SeqCst);
    topics.drained(GROUP, "notifications").await;
    assert_eq!(seen.of("a"), ["0", "1", "2", "3", "4"]);
    assert_eq!(topics.count("dlq").await, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dead_letter_that_is_not_acknowledged_commits_nothing() {
    let topics = TestTopics::create().await;
    topics.send("notifications", "k", "poison", &[]).await;
    topics.send("notifications", "k", "good", &[]).await;
    let gone = KafkaConfig { delivery_timeout_ms: 200, ..topics.config() };
    topics.delete("dlq").await;
    let (poison, good) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (poisoned, handled) = (Arc::clone(&poison), Arc::clone(&good));
    let running = Running::handler(&gone, "notifications", move |record| {
        let bad = record.payload == b"poison";
        let _ = if bad { &poisoned } else { &handled }.fetch_add(1, Ordering::SeqCst);
        async move { if bad { Err(HandleError::Permanent("never".into())) } else { Ok(()) } }
    });
    eventually("it came again", async || poison.load(Ordering::SeqCst) >= 2).await;
    assert_eq!(topics.committed(GROUP, "notifications").await[&0], 0);
    assert_eq!(good.load(Ordering::SeqCst), 0, "nothing of its key passes it");
    topics.restore().await;
    topics.drained(GROUP, "notifications").await;
    assert_eq!((good.load(Ordering::SeqCst), topics.count("dlq").await), (1, 1));
    running.stop().await;
}
