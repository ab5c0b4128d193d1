//! Following a topic without a group.

use std::time::Duration;

use chassis::Process;
use events::{
    contract::{UserDeleted, UserLoggedIn},
    envelope::{Envelope, Event},
    kafka::KafkaConfig,
    tail::{AnyEvent, Tail},
    testing::{PATIENCE, TestTopics},
};
use kafka::{
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    config::ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{sync::broadcast::Receiver, time::timeout};
use uuid::Uuid;

use crate::sample::{json, noon};

const TOPIC: &str = "user-events";

fn deleted() -> Envelope<UserDeleted> {
    let user_id = Uuid::now_v7();
    Envelope::new(user_id, 2, UserDeleted { user_id, timestamp: noon() })
}

async fn tell<T: Event>(topics: &TestTopics, event: &Envelope<T>) {
    topics.send(TOPIC, &event.aggregate_id.to_string(), json(event), &[]).await;
}

async fn next(events: &mut Receiver<AnyEvent>) -> AnyEvent {
    timeout(PATIENCE, events.recv()).await.expect("an event").expect("not too slow")
}

fn start(config: &KafkaConfig) -> (Tail, Process) {
    let process = Process::default();
    (Tail::start(config, "tail", TOPIC, 64, &process), process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_listener_hears_all_from_now_on_and_nothing_from_before() {
    let topics = TestTopics::create().await;
    for _ in 0..5 {
        tell(&topics, &deleted()).await;
    }
    let (tail, process) = start(&topics.config());
    let (mut one, mut other) = (tail.listen(PATIENCE).await.unwrap(), tail.listen(PATIENCE).await.unwrap());
    // what is no event is passed over
    topics.send(TOPIC, "k", "{}", &[]).await;
    let user_id = Uuid::now_v7();
    let events: Vec<_> =
        (1..=20).map(|number| Envelope::new(user_id, number, UserLoggedIn { user_id, session_id: user_id, timestamp: noon() })).collect();
    for event in &events {
        tell(&topics, event).await;
    }
    for listener in [&mut one, &mut other] {
        for event in &events {
            let heard = next(listener).await;
            assert_eq!((heard.event_id, heard.event_type.as_str()), (event.event_id, "UserLoggedIn"));
            assert_eq!(heard.data, serde_json::to_value(&event.data).unwrap());
        }
    }
    let last = deleted();
    let mut late = tail.listen(PATIENCE).await.unwrap();
    tell(&topics, &last).await;
    assert_eq!(next(&mut late).await.event_id, last.event_id);
    process.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn partitions_that_are_added_are_followed_from_their_beginning() {
    let topics = TestTopics::create().await;
    let (tail, process) = start(&topics.config());
    let mut events = tail.listen(PATIENCE).await.unwrap();
    let (topic, mut client) = (topics.config().named(TOPIC), ClientConfig::new());
    client.set("bootstrap.servers", topics.config().brokers);
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let grown = admin.create_partitions(&[NewPartitions::new(&topic, 5)], &AdminOptions::new()).await.unwrap();
    assert!(grown.iter().all(Result::is_ok), "{grown:?}");
    let producer: FutureProducer = client.create().unwrap();
    let mut told = Vec::new();
    for partition in [4, 3, 0] {
        let event = deleted();
        let payload = json(&event);
        producer.send(FutureRecord::<str, _>::to(&topic).partition(partition).payload(&payload), PATIENCE).await.unwrap();
        told.push(event.event_id);
    }
    let mut heard = [next(&mut events).await.event_id, next(&mut events).await.event_id, next(&mut events).await.event_id];
    heard.sort_unstable();
    told.sort_unstable();
    assert_eq!(heard.to_vec(), told);
    process.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_broker_a_listener_does_not_wait_longer_than_it_wants_to() {
    let (tail, process) = start(&KafkaConfig { brokers: "127.0.0.1:1".into(), ..KafkaConfig::default() });
    let error = tail.listen(Duration::from_millis(300)).await.unwrap_err();
    assert!(error.to_string().contains(TOPIC), "{error}");
    process.shutdown.cancel();
}
