//! Partitions that change hands, by a member that comes, leaves, dies or comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::{
    kafka::KafkaConfig,
    testing::{TestTopics, eventually},
};
use tokio::sync::Semaphore;

use crate::running::{GROUP, Running};

const TOPIC: &str = "orders.created";

/// Member, partition, key and number.
type Done = (&'static str, i32, String, u32);

/// What was done, in the order in which it was.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Done>>>);

impl Log {
    /// A member that notes what it does, after a moment during which it could be interrupted.
    fn member(&self, name: &'static str, config: &KafkaConfig) -> Running {
        let log = self.clone();
        Running::handler(config, TOPIC, move |record| {
            let log = log.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let number = String::from_utf8_lossy(&record.payload).parse().unwrap();
                log.0.lock().unwrap().push((name, record.partition, record.key_text().unwrap().to_owned(), number));
                Ok(())
            }
        })
    }

    fn by(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(of, ..)| *of == name).count()
    }

    fn partitions_of(&self, name: &str) -> BTreeSet<i32> {
        self.0.lock().unwrap().iter().filter(|(of, ..)| *of == name).map(|(_, partition, ..)| *partition).collect()
    }

    fn numbers(&self) -> BTreeMap<String, Vec<u32>> {
        let mut numbers = BTreeMap::<String, Vec<u32>>::new();
        for (_, _, key, number) in self.0.lock().unwrap().iter() {
            numbers.entry(key.clone()).or_default().push(*number);
        }
        numbers
    }
}

async fn send(topics: &TestTopics, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let sends = (0..20).map(|key| async move { topics.send(TOPIC, &key.to_string(), number.to_string(), &[]).await });
        futures::future::join_all(sends).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn order_per_key_is_kept_and_no_commit_goes_back_while_members_come_and_leave() {
    let topics = TestTopics::create().await;
    let (log, over) = (Log::default(), AtomicBool::new(false));
    let churn = async {
        let one = log.member("one", &topics.config());
        eventually("the first is at work", async || log.by("one") > 50).await;
        let other = log.member("other", &topics.config());
        eventually("the second has taken over some", async || log.by("other") > 50).await;
        one.stop().await;
        let third = log.member("third", &topics.config());
        eventually("a third one too", async || log.by("third") > 50).await;
        over.store(true, Ordering::SeqCst);
        (other, third)
    };
    let write = async {
        let mut numbers = 0;
        while !over.load(Ordering::SeqCst) {
            send(&topics, numbers..numbers + 1).await;
            numbers += 1;
        }
        numbers
    };
    let watch = async {
        let mut last = BTreeMap::new();
        while !over.load(Ordering::SeqCst) {
            let now = topics.committed(GROUP, TOPIC).await;
            for (partition, offset) in &now {
                let before = last.get(partition).copied().unwrap_or(0);
                assert!(*offset >= before, "partition {partition} was at {before} and is at {offset}");
            }
            last = now;
        }
    };
    let ((other, third), numbers, ()) = tokio::join!(churn, write, watch);
    topics.drained(GROUP, TOPIC).await;
    let expected: Vec<u32> = (0..numbers).collect();
    for (key, numbers) in log.numbers() {
        assert_eq!(numbers, expected, "{key}: each once, in order, whoever did it");
    }
    other.stop().await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_killed_member_had_begun_comes_again_in_order_and_nothing_is_lost() {
    let topics = TestTopics::create().await;
    send(&topics, 0..50).await;
    let log = Log::default();
    let first = log.member("first", &KafkaConfig { concurrency: 1, ..topics.config() });
    eventually("it is in the midst of it", async || log.by("first") > 20).await;
    first.kill().await;
    let begun = log.by("first");
    assert!(begun < 1_000, "it had done everything");
    let second = log.member("second", &topics.config());
    topics.drained(GROUP, TOPIC).await;
    for (key, numbers) in log.numbers() {
        // a repeat begins somewhere in what was done, and goes on from there
        let seen: BTreeSet<u32> = numbers.iter().copied().collect();
        assert_eq!(seen, (0..50).collect(), "{key}");
        assert!(numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count() <= 1, "{key}: {numbers:?}");
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_that_does_not_end_is_dropped_when_its_partition_is_given_away() {
    let topics = TestTopics::create().await;
    send(&topics, 0..1).await;
    let (began, never) = (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)));
    let noted = Arc::clone(&began);
    let stuck = Running::handler(&topics.config(), TOPIC, move |_| {
        noted.store(true, Ordering::SeqCst);
        let never = Arc::clone(&never);
        async move { never.acquire().await.map(drop).map_err(|_| unreachable!()) }
    });
    eventually("it hangs", async || began.load(Ordering::SeqCst)).await;
    let log = Log::default();
    let other = log.member("other", &topics.config());
    eventually("the other has got partitions, and their records", async || log.by("other") > 0).await;
    let mine = log.partitions_of("other");
    let committed = topics.committed(GROUP, TOPIC).await;
    assert!(committed.iter().all(|(partition, offset)| *offset == 0 || mine.contains(partition)), "{committed:?}, {mine:?}");
    stuck.stop().await;
    topics.drained(GROUP, TOPIC).await;
    assert_eq!(log.numbers().values().flatten().count(), 20);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_static_member_that_comes_back_finds_its_partitions_and_nobody_else_had_them() {
    let topics = TestTopics::create().await;
    let named = |name: &str| KafkaConfig { group_instance_id: name.into(), ..topics.config() };
    let log = Log::default();
    let (one, other) = (log.member("one", &named("a")), log.member("other", &named("b")));
    let mut number = 0;
    while log.by("one") == 0 || log.by("other") == 0 {
        send(&topics, number..number + 1).await;
        number += 1;
    }
    topics.drained(GROUP, TOPIC).await;
    send(&topics, number..number + 1).await;
    topics.drained(GROUP, TOPIC).await;
    one.stop().await;
    let before = log.0.lock().unwrap().len();
    send(&topics, number + 1..number + 2).await;
    let again = log.member("again", &named("a"));
    // sooner than the session timeout: the broker gives nothing to anybody else before
    topics.drained(GROUP, TOPIC).await;
    let late = log.0.lock().unwrap()[before..].to_vec();
    let of = |name: &str| late.iter().filter(|(by, ..)| *by == name).map(|(_, partition, ..)| *partition).collect::<BTreeSet<i32>>();
    assert!(!of("again").is_empty() && of("again").is_disjoint(&of("other")), "{late:?}");
    assert!(of("again").is_subset(&log.partitions_of("one")), "the same as before");
    assert_eq!(late.len(), 20, "each once");
    again.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_process_under_the_name_of_a_static_member_ends_the_first() {
    let topics = TestTopics::create().await;
    let config = KafkaConfig { group_instance_id: "only".into(), ..topics.config() };
    let log = Log::default();
    let first = log.member("first", &config);
    eventually("it has joined", async || first.complaints().await.is_empty()).await;
    let second = log.member("second", &config);
    let error = first.failure().await;
    assert!(error.to_lowercase().contains("fenced"), "{error}");
    send(&topics, 0..1).await;
    topics.drained(GROUP, TOPIC).await;
    assert_eq!((log.by("first"), log.by("second")), (0, 20));
    second.stop().await;
}
