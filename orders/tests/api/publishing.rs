//! What was placed gets into Kafka.

use std::time::{Duration, Instant};

use events::{
    contract::OrderPlaced,
    testing::{TestTopics, eventually},
};
use kafka::message::Headers;

use crate::shop::{Shop, customer, products, request};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_is_in_kafka_soon_after_the_answer_and_leaves_the_outbox() {
    let topics = TestTopics::create().await;
    let kafka = topics.config();
    let shop = Shop::open_with(|config| {
        config.kafka = kafka;
        // no sweep helps
        config.relay.sweep_interval_ms = 3_600_000;
    })
    .await;
    let ([tea], ada) = (products(), customer());
    let mut reader = topics.reader("orders.created");
    // the relay's first look and its connections are not what is measured
    shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    reader.next().await;
    let mut message = tonic::Request::new(request(&ada, &[(tea, 2)], ""));
    message.metadata_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    let order = shop.client.clone().place_order(message).await.unwrap().into_inner().order.unwrap();
    let answered = Instant::now();
    let record = reader.next().await;
    assert!(answered.elapsed() < Duration::from_secs(5), "{:?}", answered.elapsed());
    assert_eq!(record.key.as_deref(), Some(order.order_id.as_str()));
    let event = record.decode::<OrderPlaced>().unwrap();
    assert_eq!(event.data.order_id.to_string(), order.order_id);
    let header = |key| record.headers.iter().find(|header| header.key == key).and_then(|header| header.value).map(<[u8]>::to_vec);
    assert_eq!(header("traceparent"), Some(TRACEPARENT.into()));
    assert_eq!(header("event_id"), Some(event.event_id.to_string().into()));
    eventually("the outbox is empty", async || shop.written().await.2 == 0).await;
    assert_eq!(topics.count("orders.created").await, 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_kafka_orders_are_taken_and_told_when_it_is_back() {
    let topics = TestTopics::create().await;
    let nobody = events::kafka::KafkaConfig { brokers: "127.0.0.1:1".into(), delivery_timeout_ms: 200, ..topics.config() };
    let shop = Shop::open_with(|config| {
        config.kafka = nobody;
        config.relay.sweep_interval_ms = 50;
    })
    .await;
    let ([tea], ada) = (products(), customer());
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap().order_id);
    }
    assert_eq!(shop.written().await, (3, 3, 3));
    assert!(shop.process.readiness.failures().await.is_empty(), "it is ready without Kafka");
    // another replica, on the same database, with a broker
    let (url, catalog) = (shop.database.url(db::roles::Role::Orders), format!("http://{}", shop.catalog.address));
    let (kafka, process) = (topics.config(), chassis::Process::default());
    shop.process.shutdown.cancel();
    let mut config = orders::Config { server: chassis::config::Address::local(0), kafka, ..orders::Config::default() };
    config.database.url = chassis::config::Secret::new(url);
    config.upstream.catalog_cache = catalog;
    config.relay.sweep_interval_ms = 50;
    let replica = chassis::spawn(orders::App::build(config, process.clone()).unwrap().run());
    let records = topics.reader("orders.created").take(3).await;
    let mut told: Vec<String> = records.into_iter().filter_map(|record| record.key).collect();
    told.sort();
    assert_eq!(told, placed);
    eventually("the outbox is empty", async || shop.written().await.2 == 0).await;
    process.shutdown.cancel();
    replica.await.unwrap().unwrap();
    shop.close().await;
}
