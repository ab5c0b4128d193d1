//! One partition that is slow, stands still or is stuck, among others that are not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use events::{
    consumer::{HandleError, Record},
    kafka::KafkaConfig,
    testing::{TestTopics, eventually},
};
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::running::{GROUP, Running, Seen};

const TOPIC: &str = "orders.created";

/// The partition of each key that was written; all partitions have some.
async fn spread(topics: &TestTopics, keys: usize, payload: &str) -> BTreeMap<String, i32> {
    for key in 0..keys {
        topics.send(TOPIC, &key.to_string(), payload, &[]).await;
    }
    let records = topics.reader(TOPIC).take(keys).await;
    records.iter().map(|record| (record.key_text().unwrap().to_owned(), record.partition)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_partition_is_paused_with_little_in_hand_and_holds_up_no_other() {
    let topics = TestTopics::create().await;
    let partitions = spread(&topics, 40, "0").await;
    let config = KafkaConfig { batch_size: 4, concurrency: 2, statistics_interval_ms: 100, ..topics.config() };
    let (gate, begun, seen) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)), Seen::default());
    let (slow, started, noted) = (Arc::clone(&gate), Arc::clone(&begun), seen.clone());
    let running = Running::handler(&config, TOPIC, move |record| {
        let (slow, started, noted) = (Arc::clone(&slow), Arc::clone(&started), noted.clone());
        async move {
            if record.partition == 0 {
                started.fetch_add(1, Ordering::SeqCst);
                slow.acquire().await.map_err(|error| HandleError::permanent(error.to_string()))?.forget();
            }
            noted.note(&record);
            Ok(())
        }
    });
    let others = partitions.values().filter(|partition| **partition != 0).count();
    let held = partitions.len() - others;
    assert!(held > 4, "too few records in partition 0 to fill what may be in hand");
    eventually("all the others are done", async || seen.len() == others).await;
    let paused = || running.metric(&format!("throughline_consumer_paused_partitions{{messaging_consumer_group_name=\"{GROUP}\"}}"));
    eventually("one partition is not fetched from", async || paused() == Some(1.0)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 2, "two keys at a time");

    // what comes in the meantime is counted, though it is not fetched
    spread(&topics, 40, "1").await;
    eventually("the others go on", async || seen.len() == 2 * others).await;
    let topic = topics.config().named(TOPIC);
    let lag = || running.metric_of("messaging_kafka_consumer_lag", &topic, ",messaging_destination_partition_id=\"0\"");
    let expected = 2.0 * f64::from(u32::try_from(held).unwrap());
    eventually("the lag is what waits", async || lag() == Some(expected)).await;

    gate.add_permits(1_000);
    topics.drained(GROUP, TOPIC).await;
    for key in partitions.keys() {
        assert_eq!(seen.of(key), ["0", "1"], "{key}: once, and in order");
    }
    eventually("nothing is paused", async || paused() == Some(0.0)).await;
    eventually("nothing waits", async || lag() == Some(0.0)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_partition_that_waits_for_something_holds_up_no_other() {
    let topics = TestTopics::create().await;
    let partitions = spread(&topics, 30, "x").await;
    let (down, seen) = (Arc::new(AtomicBool::new(true)), Seen::default());
    let (is_down, noted) = (Arc::clone(&down), seen.clone());
    let running = Running::handler(&topics.config(), TOPIC, move |record| {
        let away = record.partition == 0 && is_down.load(Ordering::SeqCst);
        if !away {
            noted.note(&record);
        }
        async move { if away { Err(HandleError::unavailable("gone")) } else { Ok(()) } }
    });
    let others = partitions.values().filter(|partition| **partition != 0).count();
    eventually("all the others are done", async || seen.len() == others).await;
    eventually("and committed", async || topics.committed(GROUP, TOPIC).await.values().sum::<i64>() == i64::try_from(others).unwrap())
        .await;
    down.store(false, Ordering::SeqCst);
    topics.drained(GROUP, TOPIC).await;
    assert_eq!(seen.len(), partitions.len());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_backlog_larger_than_what_is_in_hand_and_fetched_ahead_is_done_once_and_in_order() {
    const RECORDS: usize = 40_000;
    let topics = TestTopics::create().await;
    let numbers: Vec<usize> = (0..RECORDS).collect();
    // a key's records are in one partition, so that offsets tell their order
    for some in numbers.chunks(5_000) {
        let keys: Vec<String> = some.iter().map(|number| (number % 1_000).to_string()).collect();
        join_all(keys.iter().map(|key| topics.send(TOPIC, key, "x", &[]))).await;
    }
    let config = KafkaConfig { batch_size: 100, ..topics.config() };
    let last: Arc<Mutex<BTreeMap<Vec<u8>, i64>>> = Arc::default();
    let (seen, behind) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (noted, count, wrong) = (Arc::clone(&last), Arc::clone(&seen), Arc::clone(&behind));
    let running = Running::handler(&config, TOPIC, move |record| {
        let before = noted.lock().unwrap().insert(record.key.clone().unwrap(), record.offset);
        wrong.fetch_or(before >= Some(record.offset), Ordering::SeqCst);
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    topics.drained(GROUP, TOPIC).await;
    assert_eq!((seen.load(Ordering::SeqCst), behind.load(Ordering::SeqCst)), (RECORDS, false));
    running.stop().await;
}

/// A consumer of one partition that does what `work` says, soon counts as stuck, and its complaints.
fn impatient<F, R>(topics: &TestTopics, work: F) -> Running
where
    F: Fn(Record) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), HandleError>> + Send,
{
    let config = KafkaConfig { stuck_after_ms: 1_000, statistics_interval_ms: 100, ..topics.config() };
    Running::handler(&config, "notifications", work)
}

async fn complaint(running: &Running) -> String {
    let found = Mutex::new(String::new());
    eventually("it says that it is stuck", async || {
        let complaints = running.complaints().await;
        *found.lock().unwrap() =
            complaints.into_iter().map(|(_, reason)| reason).find(|reason| reason.contains("finished")).unwrap_or_default();
        !found.lock().unwrap().is_empty()
    })
    .await;
    found.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_that_hangs_shows_in_readiness_until_it_goes_on() {
    let topics = TestTopics::create().await;
    let gate = Arc::new(Semaphore::new(0));
    let hung = Arc::clone(&gate);
    let running = impatient(&topics, move |_| {
        let hung = Arc::clone(&hung);
        async move { hung.acquire().await.map(tokio::sync::SemaphorePermit::forget).map_err(|error| HandleError::permanent(error.to_string())) }
    });
    eventually("it is ready while there is nothing to do", async || running.complaints().await.is_empty()).await;
    topics.send("notifications", "k", "x", &[]).await;
    let said = complaint(&running).await;
    let place = format!("{} partition 0: nothing was finished for ", topics.config().named("notifications"));
    assert!(said.starts_with(&place) && said.ends_with("(offset 0 is not done)"), "{said}");
    gate.add_permits(1);
    eventually("it goes on", async || running.complaints().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_waited_for_shows_in_readiness() {
    let topics = TestTopics::create().await;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let running = impatient(&topics, move |_| {
        let away = is_down.load(Ordering::SeqCst);
        async move { if away { Err(HandleError::unavailable("postgres is unavailable: gone")) } else { Ok(()) } }
    });
    topics.send("notifications", "k", "x", &[]).await;
    let said = complaint(&running).await;
    assert!(said.ends_with("(offset 0 waits: postgres is unavailable: gone)"), "{said}");
    down.store(false, Ordering::SeqCst);
    eventually("it goes on", async || running.complaints().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_for_which_there_is_no_partition_stands_by_and_is_ready() {
    let topics = TestTopics::create().await;
    let config = KafkaConfig { statistics_interval_ms: 100, ..topics.config() };
    let members = [1, 2].map(|_| Running::handler(&config, "notifications", |_| async { Ok(()) }));
    eventually("both are ready", async || members[0].complaints().await.is_empty() && members[1].complaints().await.is_empty()).await;
    let [one, other] = members;
    one.stop().await;
    topics.send("notifications", "k", "x", &[]).await;
    topics.drained(GROUP, "notifications").await;
    eventually("the one that is left is ready", async || other.complaints().await.is_empty()).await;
    other.stop().await;
}
