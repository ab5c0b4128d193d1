//! Without Redis Postgres is asked by few at a time.

use chassis::{spawn, testing::eventually};
use tonic::Code;

use crate::{
    counting::count,
    world::{World, demo_ids, get},
};

const PLACES: usize = 8;
const QUEUE: usize = 92;
const READERS: usize = 300;

async fn loads(world: &World) -> usize {
    usize::try_from(world.loads().await).unwrap()
}

async fn patient() -> World {
    let world = World::start_with(|config| {
        config.database.work_timeout_ms = 60_000;
        config.database.lock_timeout_ms = 60_000;
        // a Redis that is cut is not waited for
        config.redis.connect_timeout_ms = 500;
        (config.cache.fallback_concurrency, config.cache.fallback_queue) = (PLACES, QUEUE);
        config.cache.fallback_wait_ms = 60_000;
    })
    .await;
    world.count_loads().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_300_readers_are_few_at_a_time_in_postgres_and_all_are_answered() {
    let world = patient().await;
    let clients: Vec<_> = (0..10).map(|_| world.client()).collect();
    let ids: Vec<_> = demo_ids().into_iter().chain(std::iter::repeat_with(uuid::Uuid::now_v7)).take(READERS).collect();
    world.redis.cut();
    let gate = world.shut_gate().await;
    let readers: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let (mut client, id) = (clients[number % clients.len()].clone(), *id);
            spawn(async move { get(&mut client, id).await })
        })
        .collect();
    let refused = || count(&world.process, "loads", "cache=\"product\",result=\"refused\"");
    eventually("all have come", async || refused() == (READERS - PLACES - QUEUE) as u64).await;
    eventually("places are taken", async || loads(&world).await == PLACES).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'catalog-cache' AND state = 'active'";
    assert_eq!(usize::try_from(world.number(waiting).await), Ok(PLACES));
    drop(gate);
    let mut answered = 0;
    for reader in readers {
        match reader.await.unwrap() {
            Ok(_) => answered += 1,
            Err(status) if status.code() == Code::NotFound => answered += 1,
            Err(status) => assert_eq!((status.code(), status.message()), (Code::Unavailable, "a dependency is unavailable")),
        }
    }
    assert_eq!((answered, loads(&world).await), (PLACES + QUEUE, PLACES + QUEUE));
    world.redis.heal();
    let mut client = world.client();
    eventually("the cache is filled again", async || {
        get(&mut client, ids[0]).await.unwrap();
        world.redis("EXISTS", &[&world.key(ids[0])]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_answers_loads_are_not_held_up() {
    let world = patient().await;
    let (gate, ids) = (world.shut_gate().await, demo_ids());
    let readers: Vec<_> = ids[..12]
        .iter()
        .map(|id| {
            let (mut client, id) = (world.client(), *id);
            spawn(async move { get(&mut client, id).await })
        })
        .collect();
    eventually("all load at the same time", async || world.loads().await == 12).await;
    drop(gate);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}
