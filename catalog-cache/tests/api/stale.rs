//! What is no longer fresh is better than nothing, and worse than anything else.

use chassis::{spawn, testing::eventually};
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::{
    batches::batch,
    counting::count,
    posts::{self, actor, read},
    world::{World, assert_unavailable, channel, demo_ids, get, hurried},
    writing::{Client, delete, draft, update},
};

fn served(world: &World) -> u64 {
    count(&world.process, "stale", "cache=\"product\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_what_is_no_longer_fresh_is_served() {
    let world = World::start_with(hurried).await;
    let (mut client, ids) = (world.client(), demo_ids());
    let fresh = batch(&mut client, &ids[..3]).await.unwrap();
    for id in &ids[..2] {
        world.expire(*id).await;
    }
    world.postgres.cut();
    assert_eq!(batch(&mut client, &ids[..3]).await.unwrap(), fresh);
    assert_eq!(get(&mut client, ids[0]).await.unwrap(), fresh.products[0]);
    assert_eq!(served(&world), 3);
    // all or nothing
    assert_unavailable(batch(&mut client, &ids[..4])).await;
    world.postgres.heal();
    eventually("postgres is asked again", async || {
        get(&mut client, ids[0]).await.unwrap();
        world.entry(ids[0]).await.unwrap()["fresh_until"] != json!(1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_served_so_too() {
    let world = World::start_with(hurried).await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let post = posts::create(&mut client, &ada, "Looms").await.unwrap();
    let key = format!("{}post:{}", world.prefix, post.post_id);
    let text: String = world.redis("GET", &[&key]).await;
    let (_, rest) = text.split_once(',').unwrap();
    let () = world.redis("SET", &[&key, &format!("{{\"fresh_until\":1,{rest}")]).await;
    world.postgres.freeze();
    assert_eq!(read(&mut client, &post.post_id).await.unwrap().post, Some(post));
    assert_eq!(count(&world.process, "stale", "cache=\"post\""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_answers_nothing_is_served_that_is_no_longer_fresh() {
    let world = World::start().await;
    let (mut client, ids) = (world.client(), demo_ids());
    batch(&mut client, &ids[..2]).await.unwrap();
    for id in &ids[..2] {
        world.expire(*id).await;
    }
    world.execute(&format!("UPDATE catalog.products SET name = 'renamed', version = 2 WHERE product_id = '{}'", ids[0])).await;
    world.execute(&format!("DELETE FROM catalog.products WHERE product_id = '{}'", ids[1])).await;
    assert_eq!(get(&mut client, ids[0]).await.unwrap().version, 2);
    assert_eq!(get(&mut client, ids[1]).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(served(&world), 0);
    // what was loaded has taken the place of what was there, for a while
    let entry = world.entry(ids[0]).await.unwrap();
    assert!(entry["version"] == json!(2) && entry["fresh_until"] != json!(1), "{entry}");
    assert_eq!(world.entry(ids[1]).await, Some(json!(null)));
    assert!((1..=10).contains(&world.redis::<i64>("TTL", &[&world.key(ids[1])]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_to_be_newer_or_deleted_is_never_hidden() {
    let world = World::start_with(hurried).await;
    let replica = world.replica().await;
    let (mut here, mut there, ids) = (world.client(), Client::new(channel(replica.address)), demo_ids());
    batch(&mut here, &ids[..3]).await.unwrap();
    for id in &ids[..3] {
        world.expire(*id).await;
    }
    let updated = update(&mut there, ids[0], draft("NEW"), None).await.unwrap();
    delete(&mut there, ids[1], None).await.unwrap();
    // of this one only this process knows, and Redis holds what was before
    world.redis.cut();
    update(&mut here, ids[2], draft("NEWER"), None).await.unwrap();
    world.redis.heal();
    world.postgres.cut();
    eventually("redis is asked again", async || get(&mut here, ids[0]).await.is_ok()).await;
    assert_eq!(get(&mut here, ids[0]).await.unwrap(), updated);
    assert_eq!(get(&mut here, ids[1]).await.unwrap_err().code(), Code::NotFound);
    assert_unavailable(get(&mut here, ids[2])).await;
    // once the deletion is forgotten nothing is known
    let () = world.redis("DEL", &[&world.key(ids[1])]).await;
    assert_unavailable(get(&mut here, ids[1])).await;
    assert_eq!(served(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_nothing_is_not_served_for_longer() {
    let world = World::start_with(hurried).await;
    let (mut client, id) = (world.client(), Uuid::now_v7());
    get(&mut client, id).await.unwrap_err();
    assert!((1..=10).contains(&world.redis::<i64>("TTL", &[&world.key(id)]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_time_for_it_nothing_is_served() {
    let world = World::start_with(|config| {
        hurried(config);
        config.cache.stale_seconds = 0;
    })
    .await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    get(&mut client, id).await.unwrap();
    world.expire(id).await;
    world.postgres.cut();
    assert_unavailable(get(&mut client, id)).await;
}

/// The slow reader found an entry that was no longer fresh, and may put its own in that one's place only.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_replace_what_came_meanwhile() {
    for deletes in [false, true] {
        let world = World::start_with(|config| {
            config.database.work_timeout_ms = 60_000;
            config.database.lock_timeout_ms = 60_000;
        })
        .await;
        let (mut client, id) = (world.client(), demo_ids()[0]);
        get(&mut client, id).await.unwrap();
        world.expire(id).await;
        world.count_loads().await;
        world.hold_only_the_next_load().await;
        let gate = world.shut_gate().await;
        let slow = spawn({
            let mut client = world.client();
            async move { get(&mut client, id).await }
        });
        eventually("the slow reader has seen the old row", async || world.loads().await == 1).await;
        if deletes {
            delete(&mut client, id, None).await.unwrap();
        } else {
            update(&mut client, id, draft("NEW"), None).await.unwrap();
        }
        drop(gate);
        assert_eq!(slow.await.unwrap().unwrap().version, 1);
        let entry = world.entry(id).await.unwrap();
        assert!(if deletes { entry["gone"] == json!(true) } else { entry["version"] == json!(2) }, "{entry}");
    }
}
