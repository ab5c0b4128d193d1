//! Readers and writers that overtake each other. What has to be slow waits at a gate, for a lock or behind a frozen proxy.

use chassis::{spawn, testing::eventually};
use diesel_async::SimpleAsyncConnection;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::{
    world::{World, channel, demo_ids, get},
    writing::{Client, delete, draft, update},
};

/// A load may wait at the gate for as long as the test needs, but only the next one does.
async fn patient() -> World {
    let world = World::start_with(|config| {
        config.database.work_timeout_ms = 60_000;
        config.database.lock_timeout_ms = 60_000;
        // a Redis that is cut is not waited for
        config.redis.connect_timeout_ms = 500;
    })
    .await;
    world.count_loads().await;
    world.hold_only_the_next_load().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_bring_back_what_was_before_an_update() {
    let world = patient().await;
    let (id, gate) = (demo_ids()[0], world.shut_gate().await);
    let slow = spawn({
        let mut client = world.client();
        async move { get(&mut client, id).await }
    });
    eventually("the slow reader has seen the old row", async || world.loads().await == 1).await;
    let mut client = world.client();
    let updated = update(&mut client, id, draft("NEW"), None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
    drop(gate);
    // it began before the write, and may say so
    assert_eq!(slow.await.unwrap().unwrap().version, 1);
    assert_eq!(world.entry(id).await.unwrap()["version"], json!(2));
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_bring_back_what_was_deleted() {
    let world = patient().await;
    let (id, gate) = (demo_ids()[0], world.shut_gate().await);
    let slow = spawn({
        let mut client = world.client();
        async move { get(&mut client, id).await }
    });
    eventually("the slow reader has seen the row", async || world.loads().await == 1).await;
    let mut client = world.client();
    delete(&mut client, id, None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    drop(gate);
    assert_eq!(slow.await.unwrap().unwrap().version, 1);
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.entry(id).await.unwrap()["gone"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_say_that_there_is_nothing_where_something_was_written() {
    let world = patient().await;
    let (id, gate) = (Uuid::now_v7(), world.shut_gate().await);
    let slow = spawn({
        let mut client = world.client();
        async move { get(&mut client, id).await }
    });
    eventually("the slow reader has seen no row", async || world.loads().await == 1).await;
    let row = "INSERT INTO catalog.rows (product_id, sku, name, category, price, currency) VALUES";
    world.execute(&format!("{row} ('{id}', 'X', 'x', 'x', 1, 'EUR')")).await;
    let mut client = world.client();
    let updated = update(&mut client, id, draft("NEW"), None).await.unwrap();
    drop(gate);
    assert_eq!(slow.await.unwrap().unwrap_err().code(), Code::NotFound);
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
    assert_eq!(world.entry(id).await.unwrap()["version"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_after_a_write_does_not_wait_for_a_load_that_began_before() {
    let world = patient().await;
    // without a cache nothing but the flights stands between a reader and the truth
    world.redis.cut();
    let (id, gate) = (demo_ids()[0], world.shut_gate().await);
    let slow = spawn({
        let mut client = world.client();
        async move { get(&mut client, id).await }
    });
    eventually("the slow reader has seen the old row", async || world.loads().await == 1).await;
    let updated = update(&mut world.client(), id, draft("NEW"), None).await.unwrap();
    for mut client in [world.client(), world.client()] {
        assert_eq!(get(&mut client, id).await.unwrap(), updated);
    }
    assert!(!slow.is_finished());
    drop(gate);
    assert_eq!(slow.await.unwrap().unwrap().version, 1);
    assert_eq!(get(&mut world.client(), id).await.unwrap(), updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_the_later_stays_in_the_cache_though_the_earlier_tells_it_last() {
    let world = World::start().await;
    let (id, replica) = (demo_ids()[0], world.replica().await);
    let mut late_client = Client::new(channel(replica.address));
    // its connections are open before they freeze
    get(&mut late_client, id).await.unwrap();
    replica.redis.freeze();
    let commands = world.watch_redis().await;
    let late = spawn(async move { update(&mut late_client, id, draft("EARLIER"), None).await });
    eventually("the earlier write and its look at the row are done", async || {
        let read = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'catalog-cache'
            AND state = 'idle' AND query LIKE 'SELECT%products%' AND query_start > (SELECT updated_at FROM catalog.products WHERE version = 2)";
        world.number(read).await == 1
    })
    .await;
    let last = update(&mut world.client(), id, draft("LATER"), None).await.unwrap();
    assert_eq!(last.version, 3);
    eventually("the later writer has told the cache", async || commands.count("EVAL") == 1).await;
    replica.redis.heal();
    assert_eq!(late.await.unwrap().unwrap().version, 2);
    eventually("the earlier writer has told the cache", async || commands.count("EVAL") == 2).await;
    assert_eq!(world.entry(id).await.unwrap()["version"], json!(3));
    assert_eq!(get(&mut world.client(), id).await.unwrap(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_goes_away_reaches_the_cache_too() {
    let world = World::start_with(|config| config.database.lock_timeout_ms = 60_000).await;
    let (id, mut hasty_client) = (demo_ids()[0], world.client());
    assert_eq!(get(&mut hasty_client, id).await.unwrap().version, 1);
    let mut lock = world.admin().await;
    lock.batch_execute(&format!("BEGIN; SELECT 1 FROM catalog.products WHERE product_id = '{id}' FOR UPDATE")).await.unwrap();
    let hasty = spawn({
        let mut client = hasty_client.clone();
        async move { update(&mut client, id, draft("NEW"), None).await }
    });
    eventually("the write waits for the row", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        world.number(waiting).await == 1
    })
    .await;
    hasty.abort();
    assert!(hasty.await.unwrap_err().is_cancelled());
    // an answer on the same connection comes after the server has seen the cancellation
    assert_eq!(get(&mut hasty_client, "no id").await.unwrap_err().code(), Code::InvalidArgument);
    lock.batch_execute("ROLLBACK").await.unwrap();
    eventually("the cache knows", async || world.entry(id).await.is_some_and(|entry| entry["version"] == json!(2))).await;
    assert_eq!(get(&mut hasty_client, id).await.unwrap().sku, "NEW");
}
