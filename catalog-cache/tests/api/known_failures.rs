//! What goes wrong in caches elsewhere, each by its name.

use chassis::{spawn, testing::eventually};
use tonic::Code;
use uuid::Uuid;

use crate::{
    batches::batch,
    counting::count,
    world::{World, channel, demo_ids, get},
    writing::{Client, create, delete, draft, id, update},
};

/// As a process is that keeps nothing itself, and as one that does.
async fn worlds() -> [World; 2] {
    [World::start().await, World::start_with(|config| config.cache.near_entries = 1_000).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_was_put_is_not_404_by_its_own_invalidation() {
    for world in worlds().await {
        let mut client = world.client();
        for round in 0..20 {
            let created = create(&mut client, draft(&format!("S-{round}"))).await.unwrap();
            assert_eq!(get(&mut client, id(&created)).await.unwrap(), created);
            let updated = update(&mut client, id(&created), draft(&format!("T-{round}")), None).await.unwrap();
            assert_eq!(get(&mut client, id(&created)).await.unwrap(), updated);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_was_deleted_is_not_200() {
    for world in worlds().await {
        let replica = world.replica().await;
        let (mut client, mut other) = (world.client(), Client::new(channel(replica.address)));
        for id in &demo_ids()[..20] {
            // it stands in the cache
            get(&mut client, id).await.unwrap();
            delete(&mut client, id, None).await.unwrap();
            for client in [&mut client, &mut other] {
                assert_eq!(get(client, id).await.unwrap_err().code(), Code::NotFound);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_readers_of_a_cold_product_do_not_make_fifty_loads() {
    let world = World::start_with(|config| {
        config.database.work_timeout_ms = 60_000;
        config.database.lock_timeout_ms = 60_000;
    })
    .await;
    world.count_loads().await;
    let (product, gate) = (demo_ids()[0], world.shut_gate().await);
    let misses = || count(&world.process, "requests", "cache=\"product\",result=\"miss\"");
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let mut client = world.client();
            spawn(async move { get(&mut client, product).await })
        })
        .collect();
    eventually("all have missed", async || misses() == 50).await;
    drop(gate);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(world.loads().await, 1);
    assert_eq!(count(&world.process, "loads", "cache=\"product\",result=\"success\""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ratio_of_hits_is_of_lookups_and_not_of_commands() {
    let world = World::start().await;
    let (mut client, ids) = (world.client(), demo_ids());
    batch(&mut client, &ids[..3]).await.unwrap();
    let by = |result: &str| count(&world.process, "requests", &format!("cache=\"product\",result=\"{result}\""));
    let (hits, misses, commands) = (by("hit"), by("miss"), world.watch_redis().await);
    // one MGET and one SET: by commands that would be one miss of two, or of one
    assert_eq!(batch(&mut client, [ids[0], ids[1], ids[2], ids[3]]).await.unwrap().products.len(), 4);
    eventually("the fourth is kept", async || commands.count("SET") == 1).await;
    assert_eq!((by("hit") - hits, by("miss") - misses), (3, 1));
    assert_eq!(commands.count("MGET"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_nobody_has_does_not_reach_postgres_each_time() {
    let world = World::start_with(|config| config.cache.unknown_ttl_seconds = 1_000).await;
    world.count_loads().await;
    let (mut client, nobody) = (world.client(), Uuid::now_v7());
    for _ in 0..10 {
        assert_eq!(get(&mut client, nobody).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(world.loads().await, 1);
}
