//! One server stopped or paused at a time, and both.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Instant,
};

use chassis::testing::{TestProxy, eventually};
use proto::catalog::ListProductsRequest;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    batches::batch,
    world::{LIMIT, World, assert_unavailable, demo_ids, get, hurried},
};

const WAYS: [fn(&TestProxy); 2] = [TestProxy::cut, TestProxy::freeze];

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_products_are_read_from_postgres() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut client, ids) = (world.client(), demo_ids());
        get(&mut client, ids[0]).await.unwrap();
        stop(&world.redis);
        for id in &ids[..5] {
            let begun = Instant::now();
            assert_eq!(get(&mut client, id).await.unwrap().product_id, id.to_string());
            assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
        }
        assert_eq!(batch(&mut client, &ids).await.unwrap().products.len(), 200);
        assert!(world.process.readiness.failures().await.is_empty());
        world.redis.heal();
        eventually("the cache is filled again", async || {
            get(&mut client, ids[9]).await.unwrap();
            world.redis("EXISTS", &[&world.key(ids[9])]).await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_what_is_cached_is_served_and_the_rest_is_unavailable() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut client, ids) = (world.client(), demo_ids());
        assert_eq!(batch(&mut client, &ids[..10]).await.unwrap().products.len(), 10);
        stop(&world.postgres);
        assert_eq!(get(&mut client, ids[3]).await.unwrap().product_id, ids[3].to_string());
        assert_eq!(batch(&mut client, &ids[..10]).await.unwrap().products.len(), 10);
        assert_unavailable(get(&mut client, ids[10])).await;
        assert_unavailable(batch(&mut client, &ids[..11])).await;
        assert_unavailable(client.list_products(ListProductsRequest::default())).await;
        world.postgres.heal();
        eventually("the rest is served again", async || get(&mut client, ids[10]).await.is_ok()).await;
        assert_eq!(client.list_products(ListProductsRequest::default()).await.unwrap().into_inner().products.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_both_a_caller_does_not_wait_longer() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut client, ids) = (world.client(), demo_ids());
        get(&mut client, ids[0]).await.unwrap();
        stop(&world.redis);
        stop(&world.postgres);
        for id in &ids[..4] {
            assert_unavailable(get(&mut client, id)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_without_its_servers_works_when_they_come() {
    let world = World::start_with(hurried).await;
    world.redis.freeze();
    world.postgres.freeze();
    assert_unavailable(get(&mut world.client(), demo_ids()[0])).await;
    world.redis.heal();
    world.postgres.heal();
    eventually("it works", async || get(&mut world.client(), demo_ids()[0]).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_while_postgres_is() {
    let world = World::start_with(hurried).await;
    let channel = chassis::grpc::channel(&format!("http://{}", world.address)).unwrap();
    let health = async |service: &str| {
        let request = HealthCheckRequest { service: service.into() };
        HealthClient::new(channel.clone()).check(request).await.map(|answer| answer.into_inner().status())
    };
    let name = "throughline.catalog.v1.ProductService";
    eventually("serving", async || matches!(health(name).await, Ok(ServingStatus::Serving))).await;
    world.postgres.cut();
    eventually("not serving", async || matches!(health(name).await, Ok(ServingStatus::NotServing))).await;
    let failures = world.process.readiness.failures().await;
    assert_eq!(failures.iter().map(|(check, _)| *check).collect::<Vec<_>>(), ["postgres"]);
    world.postgres.heal();
    eventually("serving", async || matches!(health("").await, Ok(ServingStatus::Serving))).await;
}

/// The service's threads get a subscriber of their own: the one of the process would see the lines of other tests too.
#[test]
fn the_loss_of_redis_is_logged_once_and_so_is_its_return() {
    // tracing asks a lone subscriber on the thread alone that meets a log line first, which may be another test's
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).with_max_level(tracing::Level::INFO).finish());
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_max_level(tracing::Level::INFO).finish();
    let dispatch = tracing::Dispatch::new(subscriber);
    let watch = move || std::mem::forget(tracing::dispatcher::set_default(&dispatch));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().on_thread_start(watch).build().unwrap();
    runtime.block_on(lose_redis_twice());
    assert_eq!((lines.count("the cache does not answer"), lines.count("the cache answers again")), (2, 2));
}

async fn lose_redis_twice() {
    let world = World::start_with(hurried).await;
    let (mut client, ids) = (world.client(), demo_ids());
    for _ in 0..2 {
        world.redis.cut();
        for id in &ids[..20] {
            get(&mut client, id).await.unwrap();
        }
        world.redis.heal();
        eventually("the cache is filled again", async || {
            get(&mut client, ids[0]).await.unwrap();
            world.redis::<bool>("EXISTS", &[&world.key(ids[0])]).await
        })
        .await;
        let () = world.redis("DEL", &[&world.key(ids[0])]).await;
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
