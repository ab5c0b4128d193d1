//! The trace goes on through the gateway.

use proto::{catalog::ListProductsResponse, orders::PlaceOrderResponse};

use crate::{
    orders::{basket, order},
    world::{TOKEN, World, hurried, send},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Version, trace id, parent id, flags.
fn parts(traceparent: &str) -> [&str; 4] {
    let parts: Vec<_> = traceparent.split('-').collect();
    parts.try_into().unwrap()
}

#[tokio::test]
async fn a_callers_trace_and_its_decision_to_sample_go_on() {
    let world = World::start().await;
    world.neighbours.place_order.answers(|_| Ok(PlaceOrderResponse { order: Some(order()), replayed: false }));
    for flags in ["01", "00"] {
        let request = world.request("POST", "/api/v1/orders").bearer_auth(TOKEN).json(&basket());
        let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}")).header("tracestate", "vendor=1");
        let answer = send(request).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-trace-id")), (201, TRACE));
        let to_auth = world.neighbours.validate_token.last_metadata("traceparent").unwrap();
        let to_orders = world.neighbours.place_order.last_metadata("traceparent").unwrap();
        let [[_, auth_trace, auth_span, auth_flags], [_, orders_trace, orders_span, orders_flags]] = [parts(&to_auth), parts(&to_orders)];
        assert_eq!((auth_trace, orders_trace), (TRACE, TRACE));
        assert_eq!((auth_flags, orders_flags), (flags, flags));
        assert!(auth_span != PARENT && orders_span != PARENT && auth_span != orders_span, "each call is a span of its own");
        assert_eq!(world.neighbours.place_order.last_metadata("tracestate").as_deref(), Some("vendor=1"));
    }
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one() {
    let world = World::start().await;
    world.neighbours.list_products.answers(|_| Ok(ListProductsResponse::default()));
    for given in ["", "00-00000000000000000000000000000000-0000000000000000-01", "garbage"] {
        let answer = send(world.request("GET", "/api/v1/products").header("traceparent", given)).await;
        let forwarded = world.neighbours.list_products.last_metadata("traceparent").unwrap();
        assert_eq!(parts(&forwarded)[1], answer.header("x-trace-id"), "{given}");
        assert_ne!(answer.header("x-trace-id"), TRACE);
    }
}

#[tokio::test]
async fn every_call_says_how_long_its_answer_is_of_use() {
    let world = World::start_with(hurried).await;
    world.get("/api/v1/orders").await;
    let limit = world.neighbours.validate_token.last_metadata("grpc-timeout").unwrap();
    let micros: u64 = limit.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1_000_000..=1_800_000).contains(&micros), "{limit}");
}
