//! What `/metrics` says of the cache.

use chassis::testing::metric;
use uuid::Uuid;

use crate::{
    batches::batch,
    world::{World, demo_ids, get},
};

fn lookups(world: &World) -> [u64; 4] {
    ["hit", "hit_unknown", "miss", "failed"].map(|result| {
        let series = format!("throughline_cache_requests_total{{result=\"{result}\"}}");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let count = metric(&world.process, &series).expect("the cache is counted") as u64;
        count
    })
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
