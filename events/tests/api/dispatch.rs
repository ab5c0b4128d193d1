//! `dispatch`: from what happened to an order to a notice and a fact.

use chassis::config::Common;
use events::{
    consumer::Record,
    contract::{NotificationRequested, OrderChange, OrderRecorded},
    dispatch::{self, Config, NAME},
    envelope::{Envelope, Event},
    testing::TestTopics,
};
use uuid::Uuid;

use crate::{
    running::Running,
    sample::{TRACEPARENT, cancelled, headers, item, json, placed, updated},
};

fn start(topics: &TestTopics) -> Running {
    let config = Config { common: Common::on_admin_port(0), kafka: topics.config() };
    Running::start(|process| dispatch::run(config, process))
}

/// Sends an event, as often as told, in the trace [`TRACEPARENT`].
async fn tell<T: Event>(topics: &TestTopics, event: &Envelope<T>, times: usize) {
    for _ in 0..times {
        topics.send(T::TOPIC, &event.aggregate_id.to_string(), json(event), &[("traceparent", TRACEPARENT)]).await;
    }
}

/// What both kinds of record that follow from an event have in common.
fn check_descent<S, T: Event>(record: &Record, source: &Envelope<S>) -> Envelope<T> {
    let event = record.decode::<T>().unwrap();
    assert_eq!(record.key_text(), Some(source.aggregate_id.to_string().as_str()));
    assert_eq!(event.event_id, Uuid::new_v5(&source.event_id, T::TOPIC.as_bytes()));
    assert_eq!((event.aggregate_id, event.aggregate_version), (source.aggregate_id, source.aggregate_version));
    assert_eq!(event.occurred_at, source.occurred_at);
    let all = headers(record);
    assert_eq!(all["event_id"], event.event_id.to_string());
    assert_eq!(all["traceparent"], TRACEPARENT);
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_placed_order_becomes_a_notice_and_a_fact_and_a_repeat_the_same_ones() {
    let topics = TestTopics::create().await;
    let running = start(&topics);
    let order = placed(Uuid::now_v7(), vec![item(1, 2), item(2, 3)]);
    let event = Envelope::new(order.order_id, 1, order.clone());
    tell(&topics, &event, 2).await;
    for record in topics.reader("notifications").take(2).await {
        let notice = check_descent::<_, NotificationRequested>(&record, &event).data;
        let expected = NotificationRequested {
            change: OrderChange::Placed,
            order_id: order.order_id,
            username: "Ada".into(),
            email: "ada@example.com".into(),
            status: None,
            items: order.items.clone(),
            total_amount: Some(order.total_amount),
            currency: "EUR".into(),
        };
        assert_eq!(notice, expected);
    }
    for record in topics.reader("analytics").take(2).await {
        let fact = check_descent::<_, OrderRecorded>(&record, &event).data;
        let expected = OrderRecorded {
            change: OrderChange::Placed,
            order_id: order.order_id,
            placed_at: order.timestamp,
            items: order.items.clone(),
            total_amount: order.total_amount,
            currency: "EUR".into(),
        };
        assert_eq!(fact, expected);
    }
    topics.drained(NAME, "orders.created").await;
    assert_eq!((topics.count("notifications").await, topics.count("analytics").await, topics.count("dlq").await), (2, 2, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_of_status_is_a_notice_only_and_a_cancelled_order_is_both() {
    let topics = TestTopics::create().await;
    let running = start(&topics);
    let shipped = updated(Uuid::now_v7());
    tell(&topics, &Envelope::new(shipped.order_id, 2, shipped), 1).await;
    topics.drained(NAME, "orders.updated").await;
    assert_eq!(topics.count("analytics").await, 0);
    let order = cancelled(Uuid::now_v7(), vec![item(1, 2)]);
    let event = Envelope::new(order.order_id, 3, order.clone());
    tell(&topics, &event, 1).await;
    let notices = topics.reader("notifications").take(2).await;
    let first = notices[0].decode::<NotificationRequested>().unwrap().data;
    assert_eq!((first.change, first.status.as_deref(), first.total_amount), (OrderChange::Updated, Some("shipped"), None));
    assert_eq!(check_descent::<_, NotificationRequested>(&notices[1], &event).data.change, OrderChange::Cancelled);
    let fact = topics.reader("analytics").next().await;
    let fact = check_descent::<_, OrderRecorded>(&fact, &event).data;
    assert_eq!((fact.change, fact.placed_at, fact.items), (OrderChange::Cancelled, order.placed_at, order.items));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_type_is_a_dead_letter_in_the_same_trace_and_holds_nobody_up() {
    let topics = TestTopics::create().await;
    let running = start(&topics);
    let order = placed(Uuid::now_v7(), vec![item(1, 1)]);
    let event = Envelope::new(order.order_id, 1, order);
    let unknown = json(&event).replace("\"OrderPlaced\"", "\"OrderFramed\"");
    topics.send("orders.created", &event.aggregate_id.to_string(), &unknown, &[("traceparent", TRACEPARENT)]).await;
    tell(&topics, &event, 1).await;
    topics.drained(NAME, "orders.created").await;
    assert_eq!(topics.count("notifications").await, 1);
    let letter = topics.reader("dlq").next().await;
    let all = headers(&letter);
    assert_eq!(letter.payload, unknown.as_bytes());
    assert_eq!(all["dlq.reason"], "event_type OrderFramed is unknown here");
    assert_eq!((all["dlq.consumer"].as_str(), all["traceparent"].as_str()), (NAME, TRACEPARENT));
    running.stop().await;
}
