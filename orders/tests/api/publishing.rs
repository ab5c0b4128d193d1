//! What was placed gets into Kafka.

use std::time::{Duration, Instant};

use events::{
    consumer::Record,
    contract::{OrderCancelled, OrderPlaced, OrderUpdated},
    testing::{TestTopics, eventually},
};
use kafka::message::Headers;
use proto::orders::{CancelOrderRequest, OrderStatus, UpdateOrderStatusRequest};

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
    let order = shop.client.clone().place_order(traced(request(&ada, &[(tea, 2)], ""))).await.unwrap().into_inner().order.unwrap();
    let answered = Instant::now();
    let record = reader.next().await;
    assert!(answered.elapsed() < Duration::from_secs(5), "{:?}", answered.elapsed());
    assert_eq!(record.key_text(), Some(order.order_id.as_str()));
    let event = record.decode::<OrderPlaced>().unwrap();
    assert_eq!(event.data.order_id.to_string(), order.order_id);
    assert_eq!(header(&record, "traceparent").as_deref(), Some(TRACEPARENT));
    assert_eq!(header(&record, "event_id"), Some(event.event_id.to_string()));
    eventually("the outbox is empty", async || shop.written().await.2 == 0).await;
    assert_eq!(topics.count("orders.created").await, 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_step_and_a_cancellation_are_in_kafka_with_the_orders_version_and_the_requests_trace() {
    let topics = TestTopics::create().await;
    let kafka = topics.config();
    let shop = Shop::open_with(|config| {
        config.kafka = kafka;
        config.relay.sweep_interval_ms = 3_600_000;
    })
    .await;
    let ([tea], ada) = (products(), customer());
    let placed = shop.place(&ada, &[(tea, 2)], "").await.unwrap().order.unwrap();
    let (order_id, client) = (placed.order_id.clone(), shop.client.clone());
    let request = UpdateOrderStatusRequest { order_id: order_id.clone(), status: OrderStatus::Paid.into(), version: Some(1) };
    client.clone().update_order_status(traced(request)).await.unwrap();
    let record = topics.reader("orders.updated").next().await;
    assert_eq!((record.key_text(), header(&record, "traceparent").as_deref()), (Some(order_id.as_str()), Some(TRACEPARENT)));
    let event = record.decode::<OrderUpdated>().unwrap();
    assert_eq!((event.aggregate_id.to_string(), event.aggregate_version), (order_id.clone(), 2));
    let data = event.data;
    assert_eq!((data.user_id.to_string(), data.username, data.email), (ada.user_id.clone(), ada.username.clone(), ada.email.clone()));
    assert_eq!((data.order_id.to_string(), data.status.as_str()), (order_id.clone(), "paid"));
    let request = CancelOrderRequest { order_id: order_id.clone(), user_id: ada.user_id.clone(), version: Some(2) };
    client.clone().cancel_order(traced(request)).await.unwrap();
    let record = topics.reader("orders.cancelled").next().await;
    assert_eq!((record.key_text(), header(&record, "traceparent").as_deref()), (Some(order_id.as_str()), Some(TRACEPARENT)));
    let event = record.decode::<OrderCancelled>().unwrap();
    assert_eq!((event.aggregate_id.to_string(), event.aggregate_version), (order_id, 3));
    let data = event.data;
    assert_eq!((data.user_id.to_string(), data.username, data.email), (ada.user_id, ada.username, ada.email));
    assert_eq!((data.total_amount.to_string(), data.currency), (placed.total_amount, placed.currency));
    assert_eq!(data.items.iter().map(|item| (item.product_id, item.quantity)).collect::<Vec<_>>(), [(tea, 2)]);
    assert_eq!(data.placed_at.timestamp(), placed.created_at.unwrap().seconds);
    assert!(data.timestamp > data.placed_at);
    eventually("the outbox is empty", async || shop.written().await.2 == 0).await;
    drop(client);
    shop.close().await;
}

fn traced<M>(message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    request
}

fn header(record: &Record, key: &str) -> Option<String> {
    let value = record.headers.iter().find(|header| header.key == key).and_then(|header| header.value)?;
    Some(String::from_utf8(value.to_vec()).unwrap())
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
    let mut told: Vec<String> = records.into_iter().filter_map(|record| record.key_text().map(str::to_owned)).collect();
    told.sort();
    assert_eq!(told, placed);
    eventually("the outbox is empty", async || shop.written().await.2 == 0).await;
    process.shutdown.cancel();
    replica.await.unwrap().unwrap();
    shop.close().await;
}
