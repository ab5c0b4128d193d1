//! Services behind that are dead, hang, are paused, or die in the middle.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use proto::catalog::ListProductsResponse;
use serde_json::json;

use crate::{
    answer::Answer,
    neighbours::Name,
    orders::basket,
    world::{ANYWHERE, World, hurried},
};

const SOON: Duration = Duration::from_secs(2);

/// One request a service.
async fn ask(world: &World, name: Name) -> Answer {
    match name {
        Name::Auth => world.post("/api/v1/auth/login", &json!({"email": "ada@example.org", "password": "x"})).await,
        Name::CatalogCache => world.get("/api/v1/products").await,
        Name::Orders => world.post("/api/v1/orders", &basket()).await,
    }
}

/// It takes the call and does not answer in time.
async fn assert_timeout_soon(world: &World, name: Name) {
    let begun = Instant::now();
    let answer = ask(world, name).await;
    assert_eq!(answer.problem(), (504, "timeout"), "{name:?}: {}", answer.json);
    assert!(begun.elapsed() < SOON, "{name:?} took {:?}", begun.elapsed());
}

async fn assert_unavailable_soon(world: &World, name: Name) {
    let begun = Instant::now();
    let answer = ask(world, name).await;
    assert_eq!(answer.problem(), (503, "unavailable"), "{name:?}: {}", answer.json);
    assert!(begun.elapsed() < SOON, "{name:?} took {:?}", begun.elapsed());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{:?}", answer.headers);
}

#[tokio::test]
async fn a_dead_service_is_503_and_back_without_a_restart() {
    let mut world = World::start_with(hurried).await;
    world.neighbours.list_products.answers(|_| Ok(ListProductsResponse::default()));
    assert_eq!(ask(&world, Name::CatalogCache).await.status.as_u16(), 200);
    for round in 0..2 {
        let address = world.kill(Name::CatalogCache);
        assert_unavailable_soon(&world, Name::CatalogCache).await;
        assert_unavailable_soon(&world, Name::CatalogCache).await;
        world.revive(Name::CatalogCache, address);
        let deadline = Instant::now() + Duration::from_secs(20);
        while ask(&world, Name::CatalogCache).await.status.as_u16() != 200 {
            assert!(Instant::now() < deadline, "not back in round {round}");
        }
    }
}

#[tokio::test]
async fn services_that_never_were_there_are_503() {
    let mut world = World::start_with(hurried).await;
    for name in [Name::Auth, Name::CatalogCache, Name::Orders] {
        world.kill(name);
    }
    for name in [Name::Auth, Name::CatalogCache, Name::Orders] {
        assert_unavailable_soon(&world, name).await;
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_504() {
    let world = World::start_with(hurried).await;
    let long = Duration::from_mins(1);
    world.neighbours.login.takes(long);
    world.neighbours.list_products.takes(long);
    world.neighbours.place_order.takes(long);
    for name in [Name::Auth, Name::CatalogCache, Name::Orders] {
        assert_timeout_soon(&world, name).await;
    }
}

#[tokio::test]
async fn the_calls_of_one_request_share_its_time() {
    let world = World::start_with(hurried).await;
    world.neighbours.validate_token.takes(Duration::from_millis(1_200));
    world.neighbours.place_order.takes(Duration::from_mins(1));
    assert_timeout_soon(&world, Name::Orders).await;
}

/// A stopped process: the kernel still takes its connections, nobody answers.
#[tokio::test]
async fn a_paused_service_is_504() {
    let paused = TcpListener::bind(ANYWHERE).unwrap();
    let address = paused.local_addr().unwrap();
    let world = World::start_with(|config| {
        hurried(config);
        config.upstream.catalog_cache = format!("http://{address}");
    })
    .await;
    assert_timeout_soon(&world, Name::CatalogCache).await;
    let begun = Instant::now();
    assert_eq!(world.get("/health").await.json["upstreams"]["catalog-cache"], "unreachable");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn a_service_that_hangs_up_is_503() {
    let listener = TcpListener::bind(ANYWHERE).unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&ended);
    let thread = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            drop(listener.accept());
        }
    });
    let world = World::start_with(|config| {
        hurried(config);
        config.upstream.catalog_cache = format!("http://{address}");
    })
    .await;
    for _ in 0..5 {
        assert_unavailable_soon(&world, Name::CatalogCache).await;
    }
    ended.store(true, Ordering::Relaxed);
    drop(std::net::TcpStream::connect(address));
    thread.join().unwrap();
}

#[tokio::test]
async fn a_service_that_dies_in_the_middle_is_503() {
    let mut world = World::start_with(hurried).await;
    world.neighbours.place_order.takes(Duration::from_mins(1));
    let neighbours = Arc::clone(&world.neighbours);
    let url = world.url.clone();
    let asking = chassis::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{url}/api/v1/orders")).bearer_auth(crate::world::TOKEN).json(&basket());
        crate::world::send(request).await
    });
    while neighbours.place_order.messages().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.kill(Name::Orders);
    let answer = asking.await.unwrap();
    assert_eq!(answer.problem(), (503, "unavailable"), "{}", answer.json);
}

/// Away for a moment: what only reads is asked again, what changes something is not.
#[tokio::test]
async fn a_read_is_repeated_and_a_change_is_not() {
    let world = World::start().await;
    let asked = Arc::new(AtomicBool::new(false));
    world.neighbours.list_products.answers(move |_| {
        if asked.swap(true, Ordering::SeqCst) { Ok(ListProductsResponse::default()) } else { Err(tonic::Status::unavailable("restarting")) }
    });
    assert_eq!(ask(&world, Name::CatalogCache).await.status.as_u16(), 200);
    assert_eq!(world.neighbours.list_products.messages().len(), 2);
    world.neighbours.place_order.fails(&tonic::Status::unavailable("restarting"));
    assert_eq!(ask(&world, Name::Orders).await.problem(), (503, "unavailable"));
    assert_eq!(world.neighbours.place_order.messages().len(), 1);
}
