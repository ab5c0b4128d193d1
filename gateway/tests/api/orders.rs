//! Placing and reading orders.

use std::collections::HashMap;

use proto::orders::{GetOrderResponse, ListOrdersResponse, Order, OrderItem, OrderStatus, PlaceOrderResponse};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    answer::Answer,
    world::{ADA, TOKEN, World, refusal, send},
};

pub(crate) const ORDER: &str = "01939d4c-0000-7000-8000-00000000000f";
pub(crate) const SHOE: &str = "01939d4c-0000-7000-8000-000000000001";
const SOCK: &str = "01939d4c-0000-7000-8000-000000000002";

pub(crate) fn order() -> Order {
    Order {
        order_id: ORDER.into(),
        user_id: ADA.into(),
        status: OrderStatus::Placed.into(),
        total_amount: "39.80".into(),
        currency: "EUR".into(),
        items: vec![OrderItem { product_id: SHOE.into(), product_name: "Shoe".into(), quantity: 2, unit_price: "19.90".into() }],
        created_at: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        version: 1,
        customer: None,
    }
}

fn order_json() -> Value {
    json!({"order_id": ORDER, "user_id": ADA, "status": "placed", "total_amount": "39.80", "currency": "EUR",
           "items": [{"product_id": SHOE, "product_name": "Shoe", "quantity": 2, "unit_price": "19.90"}],
           "created_at": "2026-11-18T11:06:40.000000Z", "version": 1})
}

pub(crate) fn basket() -> Value {
    json!({"items": [{"product_id": SHOE, "quantity": 2}]})
}

async fn place_with_key(world: &World, key: &str) -> Answer {
    send(world.request("POST", "/api/v1/orders").bearer_auth(TOKEN).header("Idempotency-Key", key).json(&basket())).await
}

#[tokio::test]
async fn an_order_is_placed_for_the_caller() {
    let world = World::start().await;
    world.neighbours.place_order.answers(|_| Ok(PlaceOrderResponse { order: Some(order()), replayed: false }));
    let answer = place_with_key(&world, "key-1").await;
    assert_eq!((answer.status.as_u16(), &answer.json), (201, &order_json()));
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{ORDER}"));
    assert!(answer.headers.get("idempotency-replayed").is_none());
    let sent = world.neighbours.place_order.messages().remove(0);
    let customer = sent.customer.unwrap();
    assert_eq!((customer.user_id.as_str(), customer.username.as_str(), customer.email.as_str()), (ADA, "ada", "ada@example.org"));
    assert_eq!((sent.idempotency_key.as_str(), sent.items.len(), sent.items[0].quantity), ("key-1", 1, 2));
}

#[tokio::test]
async fn an_order_that_was_placed_before_is_200_and_says_so() {
    let world = World::start().await;
    world.neighbours.place_order.answers(|_| Ok(PlaceOrderResponse { order: Some(order()), replayed: true }));
    let answer = place_with_key(&world, "key-1").await;
    assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed"), &answer.json), (200, "true", &order_json()));
}

#[tokio::test]
async fn a_key_that_is_none_is_named() {
    let world = World::start().await;
    let long = "k".repeat(256);
    for key in ["", "two words", "caf\u{e9}", long.as_str()] {
        let answer = place_with_key(&world, key).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["Idempotency-Key"]), "{key}");
    }
    let twice = world.request("POST", "/api/v1/orders").bearer_auth(TOKEN).json(&basket());
    let answer = send(twice.header("Idempotency-Key", "a").header("Idempotency-Key", "b")).await;
    assert_eq!(answer.fields(), ["Idempotency-Key"]);
    assert!(world.neighbours.place_order.messages().is_empty());
}

fn refused(reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<_, _> = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, "throughline", metadata);
    Status::with_error_details(Code::FailedPrecondition, "refused", details)
}

#[tokio::test]
async fn too_little_stock_is_409_and_names_the_products() {
    let world = World::start().await;
    world.neighbours.place_order.fails(&refused("INSUFFICIENT_STOCK", &[("product_ids", SOCK)]));
    let line = |id: &str| json!({"product_id": id, "quantity": 1});
    let answer = world.post("/api/v1/orders", &json!({"items": [line(SHOE), line(SOCK)]})).await;
    assert_eq!((answer.problem(), answer.fields()), ((409, "insufficient-stock"), vec!["items[1].quantity"]));
    let detail = answer.json["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(SOCK), "{detail}");
}

#[tokio::test]
async fn a_key_used_with_another_body_is_422() {
    let world = World::start().await;
    world.neighbours.place_order.fails(&refused("IDEMPOTENCY_KEY_REUSED", &[]));
    assert_eq!(place_with_key(&world, "key-1").await.problem(), (422, "idempotency-key-reused"));
}

#[tokio::test]
async fn an_unknown_product_is_422_and_named() {
    let world = World::start().await;
    let details = ErrorDetails::with_bad_request_violation("items[0].product_id", "is not sold here");
    world.neighbours.place_order.fails(&Status::with_error_details(Code::InvalidArgument, "unknown product", details));
    let answer = world.post("/api/v1/orders", &basket()).await;
    assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["items[0].product_id"]));
}

#[tokio::test]
async fn every_wrong_quantity_is_named() {
    let world = World::start().await;
    for quantity in ["0", "-1", "1.5", "\"2\"", "1001", "1000000000000", "99999999999999999999999999", "null", "true", "[]", "{}"] {
        let body = format!(
            r#"{{"items":[{{"product_id":"{SHOE}","quantity":1}},{{"product_id":"{SOCK}","quantity":{quantity}}},{{"quantity":0}}]}}"#
        );
        let request = world.request("POST", "/api/v1/orders").bearer_auth(TOKEN).header("content-type", "application/json");
        let answer = send(request.body(body)).await;
        let fields = vec!["items[1].quantity", "items[2].product_id", "items[2].quantity"];
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), fields), "{quantity}");
        assert_eq!(answer.json["errors"][0]["detail"], "must be 1 to 1000");
    }
    assert!(world.neighbours.place_order.messages().is_empty());
}

#[tokio::test]
async fn wrong_items_are_named() {
    let world = World::start().await;
    let line = |id: &str| json!({"product_id": id, "quantity": 1});
    for (items, fields) in [
        (json!([]), vec!["items"]),
        (json!(vec![line(SHOE); 101]), vec!["items"]),
        (json!("two shoes"), vec!["items"]),
        (json!([line(SHOE), line(SOCK), line(SHOE)]), vec!["items[2].product_id"]),
        (json!([line("shoe")]), vec!["items[0].product_id"]),
        (json!([null]), vec!["items[0]"]),
    ] {
        let answer = world.post("/api/v1/orders", &json!({"items": items})).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), fields), "{items}");
    }
}

#[tokio::test]
async fn a_callers_orders_are_listed() {
    let world = World::start().await;
    world.neighbours.list_orders.answers(|_| Ok(ListOrdersResponse { orders: vec![order()], next_page_token: String::new() }));
    let answer = world.get("/api/v1/orders?limit=5&cursor=c").await;
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({"items": [order_json()], "next_cursor": null})));
    let sent = world.neighbours.list_orders.messages().remove(0);
    assert_eq!((sent.user_id.as_str(), sent.page_size, sent.page_token.as_str()), (ADA, 5, "c"));
}

#[tokio::test]
async fn an_order_is_read_for_its_owner_only() {
    let world = World::start().await;
    world.neighbours.get_order.answers(|request| match request.user_id.as_str() {
        ADA => Ok(GetOrderResponse { order: Some(order()) }),
        _ => Err(Status::not_found("no such order")),
    });
    let answer = world.get(&format!("/api/v1/orders/{ORDER}")).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &order_json()));
    world.neighbours.get_order.fails(&Status::not_found("no such order"));
    assert_eq!(world.get(&format!("/api/v1/orders/{ORDER}")).await.problem(), (404, "not-found"));
    let answer = world.get("/api/v1/orders/7").await;
    assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["order_id"]));
}

#[tokio::test]
async fn an_order_in_a_state_that_is_none_is_a_fault_of_ours() {
    let world = World::start().await;
    world.neighbours.get_order.answers(|_| Ok(GetOrderResponse { order: Some(Order { status: 77, ..order() }) }));
    assert_eq!(world.get(&format!("/api/v1/orders/{ORDER}")).await.problem(), (500, "internal"));
}

#[tokio::test]
async fn without_a_token_nothing_is_read_or_done() {
    let world = World::start().await;
    for (method, path) in [("POST", "/api/v1/orders"), ("GET", "/api/v1/orders"), ("GET", "/api/v1/orders/not-an-id")] {
        let answer = send(world.request(method, path).body("not even JSON")).await;
        assert_eq!(answer.problem(), (401, "credentials-required"), "{method} {path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
        let answer = send(world.request(method, path).basic_auth("ada", Some("x"))).await;
        assert_eq!(answer.problem(), (401, "credentials-required"), "{method} {path}");
    }
    assert!(world.neighbours.validate_token.messages().is_empty());
}

#[tokio::test]
async fn a_token_that_is_refused_is_401_and_says_why() {
    let world = World::start().await;
    for (reason, name) in [("TOKEN_INVALID", "token-invalid"), ("TOKEN_EXPIRED", "token-expired"), ("SESSION_ENDED", "session-ended")] {
        world.neighbours.validate_token.fails(&refusal(reason));
        let answer = world.get("/api/v1/orders").await;
        assert_eq!(answer.problem(), (401, name));
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{:?}", answer.headers);
    }
    for header in ["Bearer", "Bearer ", "bearer a b", "Bearer caf\u{e9}"] {
        let answer = send(world.request("GET", "/api/v1/orders").header("authorization", header)).await;
        assert_eq!(answer.problem(), (401, "token-invalid"), "{header}");
    }
    assert!(world.neighbours.list_orders.messages().is_empty());
}
