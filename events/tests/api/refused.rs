//! Rows of an outbox that Kafka does not take, for now or for ever.

use db::{roles::Role, schema::orders::outbox, testing::TestDatabase};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use events::{
    kafka::KafkaConfig,
    outbox::OutboxRow,
    testing::{TestTopics, eventually},
};
use uuid::Uuid;

use crate::{
    relay::{OFTEN, Replica, admin, emptied, insert, waiting, write},
    sample::{TRACEPARENT, headers, item, placed},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_that_kafka_does_not_take_stays_and_holds_up_its_own_key_only() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let (mut connection, stuck) = (admin(&database).await, Uuid::now_v7());
    let poison = write(&mut connection, stuck, 1, Some("no-such-topic")).await;
    let behind = write(&mut connection, stuck, 2, None).await;
    for _ in 0..10 {
        write(&mut connection, Uuid::now_v7(), 1, None).await;
    }
    let kafka = KafkaConfig { delivery_timeout_ms: 200, ..topics.config() };
    let _replica = Replica::start(&OFTEN, &kafka, &database.url(Role::Orders), "one");
    eventually("the others are gone", async || waiting(&database).await == 2).await;
    write(&mut connection, Uuid::now_v7(), 1, None).await;
    eventually("later ones go too", async || topics.count("orders.created").await == 11).await;
    let left: Vec<Uuid> = outbox::table.select(outbox::event_id).order(outbox::id).load(&mut connection).await.unwrap();
    assert_eq!(left[..2], [poison, behind]);
}

/// Text that does not become smaller.
fn noise(length: usize) -> String {
    let mut state = 1_u32;
    let digits = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_digit(state >> 28, 16).unwrap()
    });
    digits.take(length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_that_kafka_will_never_take_is_a_dead_letter_and_what_follows_goes_on() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let (mut connection, key) = (admin(&database).await, Uuid::now_v7());
    write(&mut connection, key, 1, None).await;
    let mut large = OutboxRow::new(key, 2, placed(key, vec![item(1, 1)])).unwrap();
    large.payload = noise(1_300_000);
    large.traceparent = Some(TRACEPARENT.into());
    insert(&mut connection, &large).await;
    write(&mut connection, key, 3, Some("no such topic!")).await;
    write(&mut connection, key, 4, None).await;
    // beside it in its batch, so that the broker refuses these too at first
    for _ in 0..5 {
        write(&mut connection, Uuid::now_v7(), 1, None).await;
    }
    let replica = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "one");
    emptied(&database).await;
    assert_eq!((topics.count("orders.created").await, topics.count("dlq").await), (7, 2));
    let letters = topics.reader("dlq").take(2).await;
    let letter = headers(&letters[0]);
    assert_eq!((letters[0].key_text(), letters[0].payload == large.payload.as_bytes()), (Some(key.to_string().as_str()), true));
    for (name, value) in [
        ("dlq.consumer", "orders-relay"),
        ("dlq.error.type", "permanent"),
        ("dlq.exception.class", "rdkafka::error::KafkaError"),
        ("dlq.original.topic", &topics.config().named("orders.created")),
        ("dlq.original.key", &key.to_string()),
        ("event_id", &large.event_id.to_string()),
        ("traceparent", TRACEPARENT),
    ] {
        assert_eq!(letter[name], value, "{name}");
    }
    assert!(!letter.contains_key("dlq.original.offset") && letter["dlq.reason"].starts_with("kafka did not acknowledge"));
    assert_eq!(headers(&letters[1])["dlq.original.topic"], topics.config().named("no such topic!"));
    let series =
        |result: &str| chassis::testing::metric(&replica.process, &format!("throughline_relay_records_total{{result=\"{result}\"}}"));
    assert_eq!((series("published"), series("dead_lettered"), series("failed")), (Some(7.0), Some(2.0), Some(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_whose_dead_letter_is_not_acknowledged_stays() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let (mut connection, key) = (admin(&database).await, Uuid::now_v7());
    topics.delete("dlq").await;
    write(&mut connection, key, 1, Some("no such topic!")).await;
    write(&mut connection, key, 2, None).await;
    let kafka = KafkaConfig { delivery_timeout_ms: 300, ..topics.config() };
    let replica = Replica::start(&OFTEN, &kafka, &database.url(Role::Orders), "one");
    let failed = || chassis::testing::metric(&replica.process, "throughline_relay_records_total{result=\"failed\"}");
    eventually("it has failed", async || failed().is_some_and(|failed| failed >= 2.0)).await;
    assert_eq!(waiting(&database).await, 2);
    topics.restore().await;
    emptied(&database).await;
    assert_eq!((topics.count("dlq").await, topics.count("orders.created").await), (1, 1));
}
