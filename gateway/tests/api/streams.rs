//! Live events where each connection has a thread: they have a bound of their own, and ordinary requests have theirs.

use std::time::Duration;

use chassis::{runtime::Model, testing::eventually};
use gateway::Config;
use proto::{auth::StreamEventsResponse, catalog::ListProductsResponse};
use reqwest::Response;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{TOKEN, World};

const EVENTS: &str = "/api/v1/events";

/// As many threads as streams.
fn two_of_each(config: &mut Config) {
    let runtime = &mut config.common.runtime;
    (runtime.model, runtime.threads, runtime.max_streams) = (Model::ThreadPerConnection, 2, 2);
}

async fn world() -> World {
    let world = World::start_with(two_of_each).await;
    world.neighbours.stream_events.answers(|_| Ok(vec![StreamEventsResponse::default()]));
    world.neighbours.list_products.answers(|_| Ok(ListProductsResponse::default()));
    world
}

async fn listen(world: &World) -> Response {
    let mut answer = world.request("GET", EVENTS).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["connection"].to_str().unwrap()), (200, "close"));
    let begin = tokio::time::timeout(Duration::from_secs(10), answer.chunk()).await.expect("it begins").unwrap().unwrap();
    assert!(begin.starts_with(b": listening"), "{begin:?}");
    answer
}

#[tokio::test]
async fn streams_take_no_thread_from_ordinary_requests_and_one_too_many_is_503() {
    let world = world().await;
    let open = [listen(&world).await, listen(&world).await];
    for _ in 0..3 {
        let refused = world.get(EVENTS).await;
        assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "unavailable"), "1"));
        assert_eq!(world.get("/api/v1/products").await.status.as_u16(), 200);
    }
    assert_eq!(world.neighbours.stream_events.messages().len(), 2, "who is refused costs no stream behind");
    drop(open);
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_its_place_back() {
    let world = world().await;
    for _ in 0..3 {
        // as soon as the gateway knows of it, and not when it has something to say again
        let mut open = Vec::new();
        eventually("places are free", async || {
            let answer = world.request("GET", EVENTS).bearer_auth(TOKEN).send().await.unwrap();
            if answer.status().is_success() {
                open.push(answer);
            }
            open.len() == 2
        })
        .await;
    }
}

#[tokio::test]
async fn a_stream_that_is_not_allowed_takes_no_place() {
    let world = world().await;
    for _ in 0..5 {
        assert_eq!(world.request("GET", EVENTS).send().await.unwrap().status().as_u16(), 401);
        world.neighbours.stream_events.fails(&Status::resource_exhausted("too many subscribers"));
        assert_eq!(world.get(EVENTS).await.problem(), (429, "too-many-requests"));
    }
    world.neighbours.stream_events.answers(|_| Ok(Vec::new()));
    let _open = [listen(&world).await, listen(&world).await];
}

#[tokio::test]
async fn a_service_that_has_no_place_for_a_stream_is_503() {
    let world = world().await;
    let mut details = ErrorDetails::with_error_info("TOO_MANY_STREAMS", "throughline", std::collections::HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(3)));
    let full = Status::with_error_details(tonic::Code::ResourceExhausted, "too many", details);
    world.neighbours.stream_events.fails(&full);
    let answer = world.get(EVENTS).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "unavailable"), "3"));
}
