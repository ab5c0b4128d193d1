//! Pages of other origins.

use reqwest::RequestBuilder;

use crate::{
    answer::Answer,
    world::{World, send},
};

const SHOP: &str = "https://shop.example.org";

async fn from(origin: &str, request: RequestBuilder) -> Answer {
    send(request.header("origin", origin)).await
}

fn preflight(world: &World) -> RequestBuilder {
    let request = world.request("OPTIONS", "/api/v1/orders");
    request.header("access-control-request-method", "POST").header("access-control-request-headers", "authorization,content-type")
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let world = World::start_with(|config| {
        config.cors.allowed_origins = vec![SHOP.into()];
        config.cors.allow_credentials = true;
    })
    .await;
    let asked = from(SHOP, preflight(&world)).await;
    assert_eq!((asked.status.as_u16(), asked.header("access-control-allow-origin")), (200, SHOP));
    assert_eq!(asked.header("access-control-allow-credentials"), "true");
    let answer = from(SHOP, world.request("GET", "/health")).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, SHOP));
    assert!(answer.header("vary").to_ascii_lowercase().contains("origin"), "{:?}", answer.headers);
    for other in ["https://evil.example.org", "https://shop.example.org.evil.org", "http://shop.example.org", "null"] {
        assert_eq!(from(other, world.request("GET", "/health")).await.header("access-control-allow-origin"), "", "{other}");
        assert_eq!(from(other, preflight(&world)).await.header("access-control-allow-origin"), "", "{other}");
    }
}

#[tokio::test]
async fn errors_can_be_read_by_the_page_that_caused_them() {
    let world = World::start_with(|config| config.cors.allowed_origins = vec![SHOP.into()]).await;
    let answer = from(SHOP, world.request("GET", "/nowhere")).await;
    assert_eq!((answer.problem(), answer.header("access-control-allow-origin")), ((404, "not-found"), SHOP));
}

#[tokio::test]
async fn by_default_no_other_origin_may_call() {
    let world = World::start().await;
    assert_eq!(from(SHOP, world.request("GET", "/health")).await.header("access-control-allow-origin"), "");
    assert_eq!(from(SHOP, preflight(&world)).await.problem(), (405, "method-not-allowed"));
}
