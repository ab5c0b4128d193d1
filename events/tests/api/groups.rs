//! Several members of a consumer group, one after the other and side by side.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use events::testing::{TestTopics, eventually};
use tokio::sync::Semaphore;

use crate::running::{GROUP, Running, Seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_stop_in_the_midst_of_a_batch_the_next_one_goes_on_and_no_effect_is_lost() {
    let topics = TestTopics::create().await;
    for turn in 0..5 {
        for key in 0..4 {
            topics.send("notifications", &key.to_string(), turn.to_string(), &[]).await;
        }
    }
    // the first of them does seven records and then hangs
    let (seen, permits) = (Seen::default(), Arc::new(Semaphore::new(7)));
    let noted = seen.clone();
    let first = Running::handler(&topics.config(), "notifications", move |record| {
        let (seen, permits) = (noted.clone(), Arc::clone(&permits));
        async move {
            permits.acquire().await.unwrap().forget();
            seen.note(&record);
            Ok(())
        }
    });
    eventually("it hangs in its batch", async || seen.len() == 7).await;
    first.stop().await;
    let committed = topics.committed(GROUP, "notifications").await[&0];
    assert!(committed <= 7, "{committed} is more than was done");

    let noted = seen.clone();
    let second = Running::handler(&topics.config(), "notifications", move |record| {
        noted.note(&record);
        async { Ok(()) }
    });
    topics.drained(GROUP, "notifications").await;
    for key in 0..4 {
        let mut done = HashSet::new();
        // repeats set aside, each effect is there, in order
        let effects: Vec<String> = seen.of(&key.to_string()).into_iter().filter(|payload| done.insert(payload.clone())).collect();
        assert_eq!(effects, ["0", "1", "2", "3", "4"], "{key}");
    }
    let all = usize::try_from(20 - committed).unwrap() + 7;
    assert_eq!(seen.len(), all, "the second one began where the first had committed");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn partitions_are_shared_and_a_member_that_leaves_gives_its_own_away_at_once() {
    let topics = TestTopics::create().await;
    let by = Arc::new(Mutex::new(Vec::new()));
    let member = |name: &'static str| {
        let by = Arc::clone(&by);
        Running::handler(&topics.config(), "orders.created", move |record| {
            by.lock().unwrap().push((name, String::from_utf8(record.payload).unwrap()));
            async { Ok(()) }
        })
    };
    let (one, other) = (member("one"), member("other"));
    let names = || by.lock().unwrap().iter().map(|(name, _)| *name).collect::<HashSet<_>>();
    eventually("both get records", async || {
        for key in 0..10 {
            topics.send("orders.created", &key.to_string(), "early", &[]).await;
        }
        names().len() == 2
    })
    .await;
    one.stop().await;
    for key in 0..10 {
        topics.send("orders.created", &key.to_string(), "late", &[]).await;
    }
    // sooner than the session timeout of 30 s, after which they would have been taken away
    topics.drained(GROUP, "orders.created").await;
    let late = by.lock().unwrap().iter().filter(|record| *record == &("other", "late".to_owned())).count();
    assert_eq!(late, 10);
    other.stop().await;
}
