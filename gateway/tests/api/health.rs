//! What the gateway says of itself and of those behind.

use serde_json::json;
use tonic_health::ServingStatus;

use crate::{
    neighbours::Name,
    world::{World, send},
};

#[tokio::test]
async fn health_tells_each_upstreams_state_and_is_always_200() {
    let mut world = World::start().await;
    for path in ["/health", "/api/v1/health"] {
        let answer = send(world.request("GET", path)).await;
        let well = json!({"status": "ok", "upstreams": {"auth": "serving", "catalog-cache": "serving", "orders": "serving"}});
        assert_eq!((answer.status.as_u16(), &answer.json), (200, &well), "{path}");
    }
    world.server(Name::Orders).report(ServingStatus::NotServing).await;
    world.kill(Name::Auth);
    let answer = send(world.request("GET", "/health")).await;
    let unwell = json!({"status": "degraded", "upstreams": {"auth": "unreachable", "catalog-cache": "serving", "orders": "not_serving"}});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &unwell));
}

#[tokio::test]
async fn the_gateway_is_ready_whatever_its_upstreams_are() {
    let mut world = World::start().await;
    world.kill(Name::Auth);
    assert_eq!(send(world.request("GET", "/health")).await.status.as_u16(), 200);
    assert!(world.process.readiness.failures().await.is_empty());
}
