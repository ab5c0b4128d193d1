//! The producer where Kafka is slow, away, or has lost it.

use std::time::{Duration, Instant};

use events::{kafka::KafkaConfig, producer::Producer, testing::TestTopics};
use futures::future::join_all;
use kafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::{running::pass_traces_on, sample::notice};

/// A broker that nobody is.
fn nobody(config: &KafkaConfig) -> KafkaConfig {
    KafkaConfig { brokers: "127.0.0.1:1".into(), delivery_timeout_ms: 300, ..config.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_producer_that_lost_idempotence_is_replaced_and_the_same_event_goes_out() {
    pass_traces_on();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("notifications", 1, 1).unwrap();
    // librdkafka holds this for fatal: it sends nothing any more
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED]);
    let config = KafkaConfig { brokers: cluster.bootstrap_servers(), delivery_timeout_ms: 5_000, ..KafkaConfig::default() };
    let producer = Producer::new(&config, "test").unwrap();
    let event = notice("ada@example.com");
    let mut failures = Vec::new();
    while let Err(error) = producer.send(&event).await {
        assert!(!error.is_permanent(), "{error}");
        failures.push(error.to_string());
        assert!(failures.len() < 3, "{failures:#?}");
    }
    // where the first attempt came before the broker's answer it fails, and none after it does
    assert!(failures.len() <= 1, "{failures:#?}");
    producer.send(&event).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_queue_makes_senders_wait_and_loses_nothing() {
    pass_traces_on();
    let topics = TestTopics::create().await;
    let config = KafkaConfig { queue_records: 3, linger_ms: 0, ..topics.config() };
    let producer = Producer::new(&config, "test").unwrap();
    let events: Vec<_> = (0..100).map(|_| notice("ada@example.com")).collect();
    for sent in join_all(events.iter().map(|event| producer.send(event))).await {
        sent.unwrap();
    }
    assert_eq!(topics.count("notifications").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_that_stays_full_is_an_error_when_the_time_of_delivery_is_up() {
    pass_traces_on();
    let config = KafkaConfig { queue_records: 1, ..nobody(&KafkaConfig::default()) };
    let producer = Producer::new(&config, "test").unwrap();
    let (event, begun) = (notice("ada@example.com"), Instant::now());
    for sent in join_all((0..5).map(|_| producer.send(&event))).await {
        assert!(!sent.unwrap_err().is_permanent());
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_producer_whose_broker_is_away_ends_soon() {
    pass_traces_on();
    let config = KafkaConfig { delivery_timeout_ms: 60_000, ..nobody(&KafkaConfig::default()) };
    let producer = Producer::new(&config, "test").unwrap();
    let event = notice("ada@example.com");
    let sending = producer.clone();
    let waiting = chassis::spawn(async move { sending.send(&event).await });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    producer.flush(Duration::from_mins(1)).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(producer);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
