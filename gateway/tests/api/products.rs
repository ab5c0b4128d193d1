//! Reading products, which needs no token.

use proto::catalog::{GetProductResponse, ListProductsResponse, Money, Product};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{World, send};

const SHOE: &str = "01939d4c-0000-7000-8000-000000000001";

pub(crate) fn shoe() -> Product {
    Product {
        product_id: SHOE.into(),
        sku: "SHOE-1".into(),
        name: "Shoe".into(),
        description: "For a foot".into(),
        category: "shoes".into(),
        price: Some(Money { amount: "19.90".into(), currency: "EUR".into() }),
        version: 3,
    }
}

fn shoe_json() -> Value {
    json!({"product_id": SHOE, "sku": "SHOE-1", "name": "Shoe", "description": "For a foot", "category": "shoes",
           "price": "19.90", "currency": "EUR", "version": 3})
}

#[tokio::test]
async fn products_are_listed_page_by_page() {
    let world = World::start().await;
    world.neighbours.list_products.answers(|request| {
        let next = if request.page_token.is_empty() { "n+/=" } else { "" };
        Ok(ListProductsResponse { products: vec![shoe()], next_page_token: next.into() })
    });
    let first = send(world.request("GET", "/api/v1/products?limit=1")).await;
    assert_eq!((first.status.as_u16(), &first.json), (200, &json!({"items": [shoe_json()], "next_cursor": "n+/="})));
    let last = send(world.request("GET", "/api/v1/products?limit=1&cursor=n%2B%2F%3D")).await;
    assert_eq!(last.json, json!({"items": [shoe_json()], "next_cursor": null}));
    let sent: Vec<_> = world.neighbours.list_products.messages().into_iter().map(|sent| (sent.page_size, sent.page_token)).collect();
    assert_eq!(sent, [(1, String::new()), (1, "n+/=".into())]);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let world = World::start().await;
    for (query, problem, fields) in [
        ("limit=0", (422, "validation"), vec!["limit"]),
        ("limit=101", (422, "validation"), vec!["limit"]),
        ("limit=ten", (422, "validation"), vec!["limit"]),
        ("cursor=1&cursor=2", (422, "validation"), vec!["cursor"]),
        ("page=2", (400, "unknown-field"), vec!["page"]),
    ] {
        let answer = world.get(&format!("/api/v1/products?{query}")).await;
        assert_eq!((answer.problem(), answer.fields()), (problem, fields), "{query}");
    }
    let details = ErrorDetails::with_bad_request_violation("page_token", "is no token of this list");
    world.neighbours.list_products.fails(&Status::with_error_details(Code::InvalidArgument, "no", details));
    let answer = world.get("/api/v1/products?cursor=made-up").await;
    assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["cursor"]));
}

#[tokio::test]
async fn one_product_is_read_by_its_id() {
    let world = World::start().await;
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: Some(shoe()) }));
    let answer = send(world.request("GET", &format!("/api/v1/products/{SHOE}"))).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &shoe_json()));
    assert_eq!(world.neighbours.get_product.messages()[0].product_id, SHOE);
    let head = send(world.request("HEAD", &format!("/api/v1/products/{SHOE}"))).await;
    assert_eq!((head.status.as_u16(), &head.json), (200, &Value::Null));
}

#[tokio::test]
async fn a_product_that_is_not_there_is_404_and_an_id_that_is_none_is_named() {
    let world = World::start().await;
    world.neighbours.get_product.fails(&Status::not_found("no such product"));
    let answer = world.get(&format!("/api/v1/products/{SHOE}")).await;
    assert_eq!((answer.problem(), answer.detail()), ((404, "not-found"), "no such product"));
    for id in ["7", "0", "01939d4c000070008000000000000001", "%00", "..%2f..", "%FF"] {
        let answer = world.get(&format!("/api/v1/products/{id}")).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["product_id"]), "{id}");
    }
}

#[tokio::test]
async fn a_product_without_a_price_is_a_fault_of_ours() {
    let world = World::start().await;
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: Some(Product { price: None, ..shoe() }) }));
    assert_eq!(world.get(&format!("/api/v1/products/{SHOE}")).await.problem(), (500, "internal"));
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: None }));
    assert_eq!(world.get(&format!("/api/v1/products/{SHOE}")).await.problem(), (500, "internal"));
}

/// The whole table, over the wire; details are tested beside it.
#[tokio::test]
async fn every_grpc_code_has_its_http_status() {
    let world = World::start().await;
    let statuses = [500, 503, 500, 422, 504, 404, 409, 403, 429, 409, 409, 400, 501, 500, 503, 500, 401];
    for (number, expected) in (0..).zip(statuses).skip(1) {
        let secret = "postgres://throughline_catalog:hunter2@10.0.0.7/";
        world.neighbours.get_product.fails(&Status::new(Code::from_i32(number), secret));
        let answer = world.get(&format!("/api/v1/products/{SHOE}")).await;
        assert_eq!(answer.status.as_u16(), expected, "{:?}", Code::from_i32(number));
        assert!(expected < 500 || !answer.json.to_string().contains("hunter2"), "{}", answer.json);
    }
}

#[tokio::test]
async fn who_has_an_answer_already_is_told_so() {
    let world = World::start().await;
    world.neighbours.list_products.answers(|_| Ok(ListProductsResponse { products: vec![shoe()], next_page_token: String::new() }));
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: Some(shoe()) }));
    let one = format!("/api/v1/products/{SHOE}");
    for path in ["/api/v1/products", &one] {
        let first = send(world.request("GET", path)).await;
        let tag = first.header("etag").to_owned();
        assert!(first.status == 200 && tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        assert_eq!(send(world.request("HEAD", path)).await.header("etag"), tag);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = send(world.request("GET", path).header("if-none-match", &known)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("etag"), answer.header("content-length")),
                (304, tag.as_str(), ""),
                "{known}"
            );
        }
        for unknown in ["\"other\"", "no quotes", ""] {
            let answer = send(world.request("GET", path).header("if-none-match", unknown)).await;
            assert_eq!((answer.status.as_u16(), &answer.json), (200, &first.json), "{unknown}");
        }
    }
    let before = send(world.request("GET", &one)).await.header("etag").to_owned();
    world.neighbours.get_product.answers(|_| Ok(GetProductResponse { product: Some(Product { version: 4, ..shoe() }) }));
    let after = send(world.request("GET", &one).header("if-none-match", &before)).await;
    assert_eq!((after.status.as_u16(), after.header("etag") == before), (200, false), "it has changed");
}
