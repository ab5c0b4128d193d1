//! Concurrent loads of one product are one. The loads wait at a gate, so that they do overlap.

use chassis::{spawn, testing::eventually};
use tonic::Code;

use crate::{
    batches::batch,
    world::{World, demo_ids, get},
};

const FEW: usize = 40;
const MANY: usize = 1_000;
/// Connections that they share.
const CLIENTS: usize = 10;

/// A load may wait at the gate for as long as the test needs.
async fn patient() -> World {
    let world = World::start_with(|config| {
        config.database.work_timeout_ms = 60_000;
        config.database.lock_timeout_ms = 60_000;
    })
    .await;
    world.count_loads().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_cold_product_make_one_load() {
    let world = patient().await;
    let (id, commands, gate) = (demo_ids()[0], world.watch_redis().await, world.shut_gate().await);
    let clients: Vec<_> = (0..CLIENTS).map(|_| world.client()).collect();
    let readers: Vec<_> = (0..MANY)
        .map(|number| {
            let mut client = clients[number % CLIENTS].clone();
            spawn(async move { get(&mut client, id).await })
        })
        .collect();
    eventually("all readers have missed the cache", async || commands.count("MGET") == MANY).await;
    drop(gate);
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().product_id, id.to_string());
    }
    assert_eq!(world.loads().await, 1);
    assert_eq!(commands.count("SET"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_loads_only_what_nobody_is_loading() {
    let world = patient().await;
    let (ids, gate) = (demo_ids(), world.shut_gate().await);
    let mut client = world.client();
    let one = spawn({
        let (mut client, id) = (client.clone(), ids[0]);
        async move { get(&mut client, id).await }
    });
    eventually("the first load waits", async || world.loads().await == 1).await;
    let commands = world.watch_redis().await;
    let whole = spawn(async move { batch(&mut client, &ids[..50]).await });
    eventually("the second load waits", async || world.loads().await == 2).await;
    drop(gate);
    one.await.unwrap().unwrap();
    assert_eq!(whole.await.unwrap().unwrap().products.len(), 50);
    eventually("each of 50 products is kept once", async || commands.count("SET") == 50).await;
    assert_eq!(world.loads().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_does_not_end_the_load_of_others() {
    let world = patient().await;
    let (id, gate) = (demo_ids()[0], world.shut_gate().await);
    let mut hasty_client = world.client();
    let hasty = spawn({
        let mut client = hasty_client.clone();
        async move { get(&mut client, id).await }
    });
    eventually("the load waits", async || world.loads().await == 1).await;
    let commands = world.watch_redis().await;
    let patient = spawn({
        let mut client = world.client();
        async move { get(&mut client, id).await }
    });
    eventually("another reader has missed the cache", async || commands.count("MGET") == 1).await;
    hasty.abort();
    assert!(hasty.await.unwrap_err().is_cancelled());
    // an answer on the same connection comes after the server has seen the cancellation
    assert_eq!(get(&mut hasty_client, "no id").await.unwrap_err().code(), Code::InvalidArgument);
    drop(gate);
    assert_eq!(patient.await.unwrap().unwrap().product_id, id.to_string());
    assert_eq!(world.loads().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_load_fails_all_who_wait_and_is_not_remembered() {
    let world = patient().await;
    let (id, commands, gate) = (demo_ids()[0], world.watch_redis().await, world.shut_gate().await);
    let readers: Vec<_> = (0..FEW)
        .map(|_| {
            let mut client = world.client();
            spawn(async move { get(&mut client, id).await })
        })
        .collect();
    eventually("all readers have missed the cache", async || commands.count("MGET") == FEW).await;
    // a further reader who has been answered shows that those before him wait for the load
    assert_eq!(get(&mut world.client(), "no id").await.unwrap_err().code(), Code::InvalidArgument);
    eventually("the load waits", async || world.loads().await == 1).await;
    world
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'catalog-cache' AND state = 'active'",
        )
        .await;
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(world.loads().await, 1);
    drop(gate);
    // who is given the connection that has just been ended, before that is known, has nothing of it
    let mut client = world.client();
    eventually("another product is read", async || get(&mut client, demo_ids()[1]).await.is_ok()).await;
    assert_eq!(world.loads().await, 2);
    assert_eq!(get(&mut client, id).await.unwrap().product_id, id.to_string());
    assert_eq!(world.loads().await, 3);
}
