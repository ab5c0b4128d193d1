//! The consumer loop where all goes well: order per key, keys side by side, offsets that say what was done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use events::{
    consumer::HandleError,
    kafka::KafkaConfig,
    testing::{PATIENCE, TestTopics, eventually},
};
use tokio::{sync::Barrier, time::timeout};

use crate::running::{GROUP, Running, Seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_of_a_key_come_in_order_while_keys_go_side_by_side() {
    let topics = TestTopics::create().await;
    for turn in 0..10 {
        for key in ["a", "b", "c", "d"] {
            topics.send("notifications", key, turn.to_string(), &[]).await;
        }
    }
    let (seen, together) = (Seen::default(), Arc::new(Barrier::new(4)));
    let noted = seen.clone();
    let running = Running::handler(&topics.config(), "notifications", move |record| {
        let (seen, together) = (noted.clone(), Arc::clone(&together));
        async move {
            // each key's first record waits until all four are at work
            if record.payload == b"0" && timeout(PATIENCE, together.wait()).await.is_err() {
                return Err(HandleError::Permanent("alone".into()));
            }
            seen.note(&record);
            Ok(())
        }
    });
    topics.drained(GROUP, "notifications").await;
    let expected: Vec<String> = (0..10).map(|turn| turn.to_string()).collect();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(seen.of(key), expected, "{key}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_more_keys_than_configured_are_at_work() {
    let topics = TestTopics::create().await;
    for key in 0..60 {
        topics.send("notifications", &key.to_string(), "x", &[]).await;
    }
    let config = KafkaConfig { concurrency: 3, ..topics.config() };
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let running = Running::handler(&config, "notifications", move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // long enough for the others to begin if they could
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    topics.drained(GROUP, "notifications").await;
    assert_eq!(peak.load(Ordering::SeqCst), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn small_batches_over_many_partitions_are_all_committed() {
    let topics = TestTopics::create().await;
    let config = KafkaConfig { batch_size: 3, ..topics.config() };
    let seen = Seen::default();
    let noted = seen.clone();
    let running = Running::handler(&config, "orders.created", move |record| {
        noted.note(&record);
        async { Ok(()) }
    });
    for turn in 0..5 {
        for key in 0..8 {
            topics.send("orders.created", &key.to_string(), turn.to_string(), &[]).await;
        }
    }
    topics.drained(GROUP, "orders.created").await;
    assert_eq!(seen.len(), 40);
    for key in 0..8 {
        assert_eq!(seen.of(&key.to_string()), ["0", "1", "2", "3", "4"], "{key}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn readiness_follows_the_assignment() {
    let topics = TestTopics::create().await;
    let running = Running::handler(&topics.config(), "notifications", |_| async { Ok(()) });
    eventually("partitions are assigned", async || running.complaints().await.is_empty()).await;
    let nobody = KafkaConfig { brokers: "127.0.0.1:1".into(), ..topics.config() };
    let unready = Running::handler(&nobody, "notifications", |_| async { Ok(()) });
    eventually("it says what is missing", async || unready.complaints().await == [("kafka", "no partition is assigned".to_owned())]).await;
    unready.stop().await;
    running.stop().await;
}
