//! What `/metrics` says of the cache.

use chassis::{
    Process,
    testing::{eventually, metric},
};
use uuid::Uuid;

use crate::{
    batches::batch,
    posts::{actor, create, read},
    world::{World, demo_ids, get, hurried},
};

/// A counter of one cache.
pub(crate) fn count(process: &Process, name: &str, labels: &str) -> u64 {
    let series = format!("throughline_cache_{name}_total{{{labels}}}");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let count = metric(process, &series).unwrap_or_else(|| panic!("no {series}")) as u64;
    count
}

fn by_result<const N: usize>(world: &World, name: &str, cache: &str, results: [&str; N]) -> [u64; N] {
    results.map(|result| count(&world.process, name, &format!("cache=\"{cache}\",result=\"{result}\"")))
}

fn lookups(world: &World) -> [u64; 4] {
    by_result(world, "requests", "product", ["hit", "hit_unknown", "miss", "failed"])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_that_is_looked_up_is_counted_by_what_came_of_it() {
    let world = World::start().await;
    let (mut client, ids, unknown) = (world.client(), demo_ids(), Uuid::now_v7());
    batch(&mut client, &ids[..10]).await.unwrap();
    get(&mut client, unknown).await.unwrap_err();
    assert_eq!(lookups(&world), [0, 0, 11, 0]);
    batch(&mut client, &ids[..12]).await.unwrap();
    assert_eq!(lookups(&world), [10, 0, 13, 0]);
    get(&mut client, unknown).await.unwrap_err();
    assert_eq!(lookups(&world), [10, 1, 13, 0]);
    world.redis.cut();
    get(&mut client, ids[0]).await.unwrap();
    assert_eq!(lookups(&world), [10, 1, 13, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_and_posts_are_counted_apart() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let post = create(&mut client, &ada, "Looms").await.unwrap();
    read(&mut client, &post.post_id).await.unwrap();
    let results = ["hit", "hit_unknown", "miss", "failed"];
    assert_eq!(by_result(&world, "requests", "post", results), [1, 0, 0, 0]);
    assert_eq!(by_result(&world, "requests", "product", results), [0; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_are_counted_and_timed() {
    let world = World::start_with(hurried).await;
    let (mut client, ids) = (world.client(), demo_ids());
    batch(&mut client, &ids[..10]).await.unwrap();
    get(&mut client, ids[20]).await.unwrap();
    get(&mut client, ids[20]).await.unwrap();
    world.postgres.cut();
    get(&mut client, ids[30]).await.unwrap_err();
    assert_eq!(by_result(&world, "loads", "product", ["success", "failed", "refused"]), [2, 1, 0]);
    assert_eq!(metric(&world.process, "throughline_cache_load_seconds_count{cache=\"product\"}"), Some(3.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_breaker_is_shown() {
    let world = World::start_with(hurried).await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    let holds = |state: &str| metric(&world.process, &format!("throughline_cache_breaker_state{{state=\"{state}\"}}")) == Some(1.0);
    get(&mut client, id).await.unwrap();
    assert!(holds("closed") && !holds("open") && !holds("half_open"));
    world.redis.cut();
    get(&mut client, id).await.unwrap();
    assert!(holds("open") && !holds("closed"));
    world.redis.freeze();
    eventually("somebody tries", async || {
        let (mut client, holds) = (client.clone(), &holds);
        let (_, tries) = futures::join!(get(&mut client, id), async {
            tokio::task::yield_now().await;
            holds("half_open")
        });
        tries || holds("half_open")
    })
    .await;
    world.redis.heal();
    eventually("everybody asks again", async || {
        get(&mut client, id).await.unwrap();
        holds("closed")
    })
    .await;
}
