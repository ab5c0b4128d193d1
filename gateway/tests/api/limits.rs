//! What bounds requests.

use std::time::{Duration, Instant};

use futures::future::join_all;
use proto::{catalog::ListProductsResponse, orders::GetOrderStatsResponse};
use serde_json::json;

use crate::world::{World, send};

fn one_a_second(config: &mut gateway::Config) {
    config.rate_limit = gateway::RateLimit { requests_per_second: 1, burst: 3 };
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_429_and_is_told_when_to_come_back() {
    let world = World::start_with(one_a_second).await;
    for left in [2, 1, 0] {
        let answer = world.get("/health").await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit")), (200, format!("\"client\";r={left};t=1").as_str()));
        assert_eq!(answer.header("ratelimit-policy"), "\"client\";q=3;w=3");
    }
    let answer = world.get("/health").await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((429, "too-many-requests"), "1"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.get("/health").await.status.as_u16() != 200 {
        assert!(Instant::now() < deadline, "not let in again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A known failure of public examples.
#[tokio::test]
async fn a_made_up_forwarded_for_is_no_other_client() {
    let world = World::start_with(one_a_second).await;
    let mut refused = 0;
    for number in 0..10 {
        let answer = send(world.request("GET", "/health").header("x-forwarded-for", format!("192.0.2.{number}"))).await;
        refused += u32::from(answer.status.as_u16() == 429);
    }
    assert!(refused >= 5, "{refused} of 10");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_share() {
    let world = World::start_with(|config| {
        one_a_second(config);
        config.proxies.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for number in 0..10 {
        // what the client invents stands before what the proxy adds
        let named = format!("198.51.100.7, 192.0.2.{number}");
        assert_eq!(send(world.request("GET", "/health").header("x-forwarded-for", named)).await.status.as_u16(), 200);
    }
    let invented = join_all(
        (0..10).map(|number| send(world.request("GET", "/health").header("x-forwarded-for", format!("198.51.100.{number}, 192.0.2.99")))),
    );
    let refused = invented.await.iter().filter(|answer| answer.status.as_u16() == 429).count();
    assert!(refused >= 5, "{refused} of 10");
}

#[tokio::test]
async fn what_is_too_much_for_the_process_is_shed() {
    let world = World::start_with(|config| config.limits.in_flight = 2).await;
    world.neighbours.list_products.answers(|_| Ok(ListProductsResponse::default()));
    world.neighbours.list_products.takes(Duration::from_millis(500));
    let answers = join_all((0..6).map(|_| world.get("/api/v1/products"))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2, "{statuses:?}");
    for shed in answers.iter().filter(|answer| answer.status.as_u16() != 200) {
        assert_eq!((shed.problem(), shed.header("retry-after")), ((503, "unavailable"), "1"));
    }
    world.neighbours.list_products.takes(Duration::ZERO);
    assert_eq!(world.get("/api/v1/products").await.status.as_u16(), 200, "places are given back");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_504() {
    let world = World::start_with(|config| config.limits.request_timeout_ms = 200).await;
    let answer = world.get("/api/v1/slow?ms=20000").await;
    assert_eq!((answer.problem(), answer.json["instance"].as_str()), ((504, "timeout"), Some("/api/v1/slow")));
    assert_eq!(world.get("/api/v1/slow?ms=1").await.json, json!({"ms": 1}));
}

/// 504, or 503 where the callee notices first and cancels: a neighbour that is faked has no better word for it.
async fn assert_gave_up(world: &World, path: &str) {
    let answer = world.get(path).await;
    assert!([503, 504].contains(&answer.status.as_u16()), "{}", answer.json);
}

#[tokio::test]
async fn a_report_may_take_longer_than_other_answers() {
    let world = World::start_with(|config| (config.limits.call_timeout_ms, config.limits.report_timeout_ms) = (1_000, 30_000)).await;
    world.neighbours.get_order_stats.answers(|_| Ok(GetOrderStatsResponse::default()));
    world.neighbours.get_order_stats.takes(Duration::from_millis(1_500));
    assert_eq!(world.get("/api/v1/orders/stats").await.status.as_u16(), 200);
    world.neighbours.list_products.takes(Duration::from_millis(1_500));
    assert_gave_up(&world, "/api/v1/products").await;
    let hurried = World::start_with(|config| config.limits.report_timeout_ms = 100).await;
    hurried.neighbours.get_order_stats.takes(Duration::from_secs(30));
    assert_gave_up(&hurried, "/api/v1/orders/stats").await;
}

#[tokio::test]
async fn the_routes_for_trying_things_out_do_that() {
    let world = World::start().await;
    for status in [400, 404, 429, 500, 503, 599] {
        let answer = world.get(&format!("/api/v1/error?status={status}")).await;
        assert_eq!(answer.problem(), (status, "requested"));
    }
    assert_eq!(world.get("/api/v1/error").await.problem(), (500, "requested"));
    for query in ["status=200", "status=600", "status=x", "status=-1"] {
        assert_eq!(world.get(&format!("/api/v1/error?{query}")).await.fields(), ["status"], "{query}");
    }
    assert_eq!(world.get("/api/v1/slow?ms=30001").await.fields(), ["ms"]);
}

#[tokio::test]
async fn the_routes_for_trying_things_out_are_not_there_unless_they_are_asked_for() {
    let production = World::start_with(|config| config.diagnostics = gateway::Config::default().diagnostics).await;
    for path in ["/api/v1/slow?ms=1", "/api/v1/error"] {
        assert_eq!(production.get(path).await.problem(), (404, "not-found"), "{path}");
    }
}
