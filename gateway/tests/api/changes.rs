//! Changes of what there is, made to the version that was meant.

use proto::{
    catalog::{DeleteProductResponse, GetProductResponse, UpdateProductResponse},
    orders::{CancelOrderResponse, GetStockResponse, Order, OrderStatus, SetStockResponse, UpdateOrderStatusResponse},
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    orders::{ORDER, SHOE, order},
    products::shoe,
    world::{TOKEN, World, send},
};

fn draft() -> Value {
    json!({"sku": "SHOE-1", "name": "Shoe", "category": "shoes", "price": "19.90", "currency": "EUR"})
}

fn refused(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Status::with_error_details(
        code,
        "no",
        ErrorDetails::with_error_info(reason, "throughline", metadata.into_iter().collect::<std::collections::HashMap<_, _>>()),
    )
}

#[tokio::test]
async fn a_change_goes_to_the_version_that_its_author_has_seen() {
    let world = World::start().await;
    world.promote();
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: Some(shoe()) }));
    world.neighbours.update_product.answers(|_| Ok(UpdateProductResponse { product: Some(shoe()) }));
    let path = format!("/api/v1/products/{SHOE}");
    let tag = world.get(&path).await.header("etag").to_owned();
    for (header, version) in [(Some(tag.as_str()), Some(3)), (Some("*"), None), (None, None)] {
        let request = world.request("PUT", &path).bearer_auth(TOKEN).json(&draft());
        let answer = send(if let Some(value) = header { request.header("if-match", value) } else { request }).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
        assert_eq!(world.neighbours.update_product.messages().pop().unwrap().version, version, "{header:?}");
    }
    for header in ["W/\"3\"", "\"3\", \"4\"", "\"three\"", "3", ""] {
        let answer = send(world.request("PUT", &path).bearer_auth(TOKEN).json(&draft()).header("if-match", header)).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["If-Match"]), "{header}");
    }
}

#[tokio::test]
async fn a_version_that_is_no_more_is_412_and_the_current_one_is_named() {
    let world = World::start().await;
    world.promote();
    world.neighbours.delete_product.fails(&refused(Code::Aborted, "VERSION_MISMATCH", &[("version", "9")]));
    let path = format!("/api/v1/products/{SHOE}");
    let answer = send(world.request("DELETE", &path).bearer_auth(TOKEN).header("if-match", "\"3\"")).await;
    assert_eq!((answer.problem(), answer.header("etag")), ((412, "precondition-failed"), "\"9\""));
    world.neighbours.delete_product.answers(|_| Ok(DeleteProductResponse {}));
    assert_eq!(send(world.request("DELETE", &path).bearer_auth(TOKEN)).await.status.as_u16(), 204);
}

#[tokio::test]
async fn every_wrong_field_of_a_product_is_named() {
    let world = World::start().await;
    world.promote();
    let wrong = json!({"sku": "a b", "name": "", "category": "Shoes", "price": "-1", "currency": "euro", "stock": 3});
    let answer = world.post("/api/v1/products", &wrong).await;
    assert_eq!(
        (answer.problem(), answer.fields()),
        ((400, "unknown-field"), vec!["sku", "name", "category", "price", "currency", "stock"])
    );
    for price in
        [json!(1), json!("1e3"), json!("NaN"), json!("1.999"), json!("10000000000"), json!("-0.01"), json!("+1"), json!(".5"), json!("1.")]
    {
        let mut product = draft();
        product["price"] = price.clone();
        assert_eq!(world.post("/api/v1/products", &product).await.fields(), ["price"], "{price}");
    }
    assert!(world.neighbours.create_product.messages().is_empty());
}

#[tokio::test]
async fn what_a_service_finds_wrong_is_told_in_the_names_of_the_api() {
    let world = World::start().await;
    world.promote();
    world.neighbours.create_product.fails(&refused(Code::AlreadyExists, "SKU_TAKEN", &[("field", "product.sku")]));
    let answer = world.post("/api/v1/products", &draft()).await;
    assert_eq!((answer.problem(), answer.fields()), ((409, "already-exists"), vec!["sku"]));
    let details = ErrorDetails::with_bad_request_violation("product.price.amount", "must not be negative");
    world.neighbours.create_product.fails(&Status::with_error_details(Code::InvalidArgument, "no", details));
    assert_eq!(world.post("/api/v1/products", &draft()).await.fields(), ["price"]);
}

#[tokio::test]
async fn an_order_takes_its_steps_and_a_forbidden_one_names_the_allowed() {
    let world = World::start().await;
    world.promote();
    let path = format!("/api/v1/orders/{ORDER}/status");
    world
        .neighbours
        .update_order_status
        .answers(|request| Ok(UpdateOrderStatusResponse { order: Some(Order { status: request.status, version: 2, ..order() }) }));
    for (name, status) in [("paid", OrderStatus::Paid), ("shipped", OrderStatus::Shipped), ("delivered", OrderStatus::Delivered)] {
        let answer = world.send("PUT", &path, &json!({"status": name})).await;
        assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &json!(name)));
        assert_eq!(world.neighbours.update_order_status.messages().pop().unwrap().status(), status);
    }
    for status in [json!("banana"), json!(3), json!(null), json!("PAID")] {
        let answer = world.send("PUT", &path, &json!({"status": status})).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["status"]), "{status}");
    }
    let step = refused(Code::FailedPrecondition, "STATUS_STEP_FORBIDDEN", &[("status", "placed"), ("allowed", "paid,cancelled")]);
    world.neighbours.update_order_status.fails(&step);
    let answer = world.send("PUT", &path, &json!({"status": "shipped"})).await;
    assert_eq!(answer.problem(), (409, "status-step-forbidden"));
    assert_eq!(answer.json["errors"], json!([{"field": "status", "detail": "is placed, and can only become paid or cancelled"}]));
}

#[tokio::test]
async fn a_user_cancels_an_order_of_its_own() {
    let world = World::start().await;
    world
        .neighbours
        .cancel_order
        .answers(|_| Ok(CancelOrderResponse { order: Some(Order { status: OrderStatus::Cancelled.into(), ..order() }) }));
    let answer = send(world.request("DELETE", &format!("/api/v1/orders/{ORDER}")).bearer_auth(TOKEN)).await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &json!("cancelled")));
    assert_eq!(world.neighbours.cancel_order.messages()[0].user_id, crate::world::ADA);
}

#[tokio::test]
async fn stock_is_set_to_the_version_that_its_author_has_seen_whatever_was_sold_since() {
    let world = World::start().await;
    world.promote();
    let path = format!("/api/v1/products/{SHOE}/stock");
    world.neighbours.get_stock.answers(|_| Ok(GetStockResponse { available: 9, version: 3 }));
    let seen = world.get(&path).await;
    assert_eq!((seen.status.as_u16(), &seen.json), (200, &json!({"available": 9, "version": 3})));
    let tag = seen.header("etag").to_owned();
    let again = async || send(world.request("GET", &path).header("if-none-match", &tag)).await.status.as_u16();
    assert_eq!(again().await, 304);
    world.neighbours.get_stock.answers(|_| Ok(GetStockResponse { available: 8, version: 3 }));
    assert_eq!(again().await, 200, "one was sold");

    world.neighbours.set_stock.answers(|_| Ok(SetStockResponse { available: 20, version: 4 }));
    for (header, version) in [(Some(tag.as_str()), Some(3)), (Some("*"), None), (None, None)] {
        let request = world.request("PUT", &path).bearer_auth(TOKEN).json(&json!({"available": 20}));
        let answer = send(if let Some(value) = header { request.header("if-match", value) } else { request }).await;
        assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({"available": 20, "version": 4})));
        assert_eq!(world.neighbours.set_stock.messages().pop().unwrap().version, version, "{header:?}");
    }
    world.neighbours.set_stock.fails(&refused(Code::Aborted, "VERSION_MISMATCH", &[("version", "4")]));
    let late = send(world.request("PUT", &path).bearer_auth(TOKEN).json(&json!({"available": 1})).header("if-match", &tag)).await;
    assert_eq!((late.problem(), late.header("etag")), ((412, "precondition-failed"), "\"4\""));
}
