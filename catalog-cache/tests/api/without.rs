//! Writes, posts, limits and the leaderboard with one server stopped or paused.

use std::time::Instant;

use chassis::testing::{TestProxy, eventually};
use proto::catalog::{CheckRateLimitRequest, GetLeaderboardRequest, ListPostsRequest, SearchProductsRequest};
use serde_json::json;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    posts::{actor, comment},
    world::{LIMIT, World, assert_unavailable, channel, demo_ids, get, hurried},
    writing::{create, delete, draft, id, update},
};

const WAYS: [fn(&TestProxy); 2] = [TestProxy::cut, TestProxy::freeze];

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_writes_work_and_are_seen_then_and_when_it_is_back() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut client, ids) = (world.client(), demo_ids());
        for id in &ids[..2] {
            get(&mut client, id).await.unwrap();
        }
        stop(&world.redis);
        let begun = Instant::now();
        let updated = update(&mut client, ids[0], draft("NEW"), Some(1)).await.unwrap();
        delete(&mut client, ids[1], None).await.unwrap();
        let created = create(&mut client, draft("NEWER")).await.unwrap();
        assert!(begun.elapsed() < 3 * LIMIT, "{:?}", begun.elapsed());
        let see = async || {
            for mut client in [world.client(), world.client()] {
                assert_eq!(get(&mut client, ids[0]).await.unwrap(), updated);
                assert_eq!(get(&mut client, ids[1]).await.unwrap_err().code(), Code::NotFound);
                assert_eq!(get(&mut client, id(&created)).await.unwrap(), created);
            }
        };
        see().await;
        // what Redis held before is there still
        world.redis.heal();
        see().await;
        eventually("readers have told the cache", async || {
            see().await;
            let (changed, gone) = (world.entry(ids[0]).await, world.entry(ids[1]).await);
            changed.is_some_and(|entry| entry["version"] == json!(2)) && gone.is_some_and(|entry| entry["gone"] == json!(true))
        })
        .await;
        see().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_cannot_be_written_does_not_keep_what_was() {
    let world = World::start_with(hurried).await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    get(&mut client, id).await.unwrap();
    // the script meets a list where it expects a text
    let () = world.redis("DEL", &[&world.key(id)]).await;
    let () = world.redis("RPUSH", &[&world.key(id), "x"]).await;
    let updated = update(&mut client, id, draft("NEW"), None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
    assert!(!world.redis::<bool>("EXISTS", &[&world.key(id)]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_nothing_is_written_and_everybody_is_told_in_time() {
    let world = World::start_with(hurried).await;
    let (mut client, mut posts, ids, ada) = (world.client(), world.posts(), demo_ids(), actor("ada", "user"));
    get(&mut client, ids[0]).await.unwrap();
    world.postgres.cut();
    assert_unavailable(create(&mut client, draft("LOST"))).await;
    assert_unavailable(update(&mut client, ids[0], draft("LOST"), None)).await;
    assert_unavailable(delete(&mut client, ids[0], None)).await;
    assert_unavailable(client.search_products(SearchProductsRequest { query: "tea".into(), limit: 0 })).await;
    assert_unavailable(crate::posts::create(&mut posts, &ada, "Lost")).await;
    assert_unavailable(comment(&mut posts, &ada, &ids[0].to_string(), "lost")).await;
    assert_unavailable(posts.list_posts(ListPostsRequest::default())).await;
    world.postgres.heal();
    eventually("it works again", async || client.search_products(SearchProductsRequest { query: "tea".into(), limit: 0 }).await.is_ok())
        .await;
    assert_eq!(get(&mut client, ids[0]).await.unwrap().version, 1);
    assert_eq!(world.number("SELECT count(*) FROM catalog.products WHERE sku = 'LOST'").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM catalog.posts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_which_nobody_knows_whether_it_happened_is_not_hidden_by_the_cache() {
    let world = World::start_with(hurried).await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    get(&mut client, id).await.unwrap();
    world.postgres.freeze();
    assert_unavailable(update(&mut client, id, draft("LATE"), None)).await;
    // what the proxy held arrives now
    world.postgres.heal();
    eventually("the service and the database agree", async || {
        let row = world.number(&format!("SELECT version FROM catalog.products WHERE product_id = '{id}'")).await;
        let (read, entry) = (get(&mut client, id).await, world.entry(id).await);
        read.is_ok_and(|product| product.version == row) && entry.is_some_and(|entry| entry["version"] == json!(row))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_there_are_no_limits_and_no_leaderboard() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut limits, mut bestsellers) = (world.limits(), world.bestsellers());
        let request = CheckRateLimitRequest { key: "k".into(), limit: 5, window_seconds: 60 };
        assert!(limits.check_rate_limit(request.clone()).await.unwrap().into_inner().allowed);
        bestsellers.get_leaderboard(GetLeaderboardRequest::default()).await.unwrap();
        stop(&world.redis);
        for _ in 0..3 {
            assert_unavailable(limits.check_rate_limit(request.clone())).await;
            assert_unavailable(bestsellers.get_leaderboard(GetLeaderboardRequest::default())).await;
        }
        world.redis.heal();
        eventually("limits are back", async || limits.check_rate_limit(request.clone()).await.is_ok()).await;
        eventually("so is the leaderboard", async || bestsellers.get_leaderboard(GetLeaderboardRequest::default()).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_limits_hold_and_the_leaderboard_has_the_names_that_are_cached() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        let (mut limits, mut bestsellers, ids) = (world.limits(), world.bestsellers(), demo_ids());
        let sold = format!("{}leaderboard", world.prefix);
        let () = world.redis("ZADD", &[&sold, "5", &ids[0].to_string()]).await;
        bestsellers.get_leaderboard(GetLeaderboardRequest::default()).await.unwrap();
        stop(&world.postgres);
        let request = CheckRateLimitRequest { key: "k".into(), limit: 1, window_seconds: 60 };
        assert!(limits.check_rate_limit(request.clone()).await.unwrap().into_inner().allowed);
        assert!(!limits.check_rate_limit(request).await.unwrap().into_inner().allowed);
        let answer = bestsellers.get_leaderboard(GetLeaderboardRequest::default()).await.unwrap().into_inner();
        assert!(!answer.entries[0].product_name.is_empty());
        let () = world.redis("ZADD", &[&sold, "6", &ids[1].to_string()]).await;
        assert_unavailable(bestsellers.get_leaderboard(GetLeaderboardRequest::default())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_every_service_is_told() {
    let world = World::start().await;
    for name in ["ProductService", "PostService", "RateLimitService", "LeaderboardService"] {
        let service = format!("throughline.catalog.v1.{name}");
        eventually(name, async || {
            let request = HealthCheckRequest { service: service.clone() };
            let answer = HealthClient::new(channel(world.address)).check(request).await;
            answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
        })
        .await;
    }
}
