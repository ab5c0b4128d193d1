//! Who may do what.

use proto::{
    auth::{GetUserResponse, ListUsersResponse, UpdateUserResponse},
    orders::{GetOrderResponse, ListOrdersResponse},
};
use serde_json::json;

use crate::{
    accounts::user,
    orders::{ORDER, SHOE, order},
    world::{ADA, World, send},
};

const OTHER: &str = "01939d4c-0000-7000-8000-00000000b0b0";

/// What needs a token, and what of it an admin's.
fn guarded() -> Vec<(&'static str, String, bool)> {
    let (user, customer, order) =
        (format!("/api/v1/users/{OTHER}"), format!("/api/v1/customers/{OTHER}"), format!("/api/v1/orders/{ORDER}"));
    let (product, post) = (format!("/api/v1/products/{SHOE}"), format!("/api/v1/posts/{SHOE}"));
    vec![
        ("GET", "/api/v1/auth/me".into(), false),
        ("GET", format!("/api/v1/sessions/{SHOE}"), false),
        ("DELETE", format!("/api/v1/sessions/{SHOE}"), false),
        ("GET", "/api/v1/users".into(), true),
        ("POST", "/api/v1/users".into(), true),
        ("GET", user.clone(), false),
        ("PUT", user.clone(), true),
        ("DELETE", user.clone(), true),
        ("POST", format!("{user}/avatar"), true),
        ("GET", format!("{user}/avatar"), false),
        ("POST", "/api/v1/products".into(), true),
        ("PUT", product.clone(), true),
        ("DELETE", product.clone(), true),
        ("PUT", format!("{product}/stock"), true),
        ("GET", "/api/v1/customers".into(), true),
        ("POST", "/api/v1/customers".into(), true),
        ("GET", customer.clone(), true),
        ("GET", format!("{customer}/orders"), true),
        ("GET", format!("/api/v1/orders?customer_id={OTHER}"), true),
        ("GET", "/api/v1/orders/stats".into(), false),
        ("GET", "/api/v1/reports/revenue-by-day".into(), true),
        ("GET", "/api/v1/reports/top-customers?limit=0".into(), true),
        ("GET", "/api/v1/reports/order-values".into(), true),
        ("PUT", format!("{order}/status"), true),
        ("DELETE", order, false),
        ("POST", "/api/v1/posts".into(), false),
        ("PUT", post.clone(), false),
        ("DELETE", post.clone(), false),
        ("POST", format!("{post}/comments"), false),
        ("POST", "/api/v1/rate-limit/check".into(), false),
        ("GET", "/api/v1/events".into(), false),
    ]
}

#[tokio::test]
async fn a_stranger_gets_401_and_learns_nothing_of_what_is_valid() {
    let world = World::start().await;
    for (method, path, _) in guarded() {
        let answer = send(world.request(method, &path).json(&json!({"nonsense": 1}))).await;
        assert_eq!(answer.problem(), (401, "credentials-required"), "{method} {path}");
        let answer = send(world.request(method, &path).bearer_auth("bad").json(&json!({"nonsense": 1}))).await;
        assert_eq!(answer.problem(), (401, "token-invalid"), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_the_business_of_admins_or_others_is_403() {
    let world = World::start().await;
    for (method, path, admins_only) in guarded() {
        let answer = send(world.request(method, &path).bearer_auth(crate::world::TOKEN).json(&json!({"nonsense": 1}))).await;
        assert_eq!(answer.status.as_u16() == 403, admins_only, "{method} {path}: {}", answer.json);
    }
    world.promote();
    for (method, path, _) in guarded() {
        let answer = send(world.request(method, &path).bearer_auth(crate::world::TOKEN).json(&json!({"nonsense": 1}))).await;
        assert_ne!(answer.status.as_u16(), 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_user_changes_itself() {
    let world = World::start().await;
    world.neighbours.update_user.answers(|_| Ok(UpdateUserResponse { user: Some(user()) }));
    let answer = world.send("PUT", &format!("/api/v1/users/{}", ADA.to_uppercase()), &json!({"username": "Ada"})).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    let sent = world.neighbours.update_user.messages().remove(0);
    assert_eq!((sent.user_id.as_str(), sent.username.as_deref(), sent.email, sent.role), (ADA, Some("Ada"), None, None));
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let world = World::start().await;
    world.promote();
    world.neighbours.list_users.answers(|request| {
        let one = |number: u32| ListUsersResponse { user: Some(user()), page_token: format!("token-{number}") };
        Ok((1..=request.limit.min(3)).map(one).collect())
    });
    let page = world.get("/api/v1/users?limit=2").await;
    assert_eq!((page.json["items"].as_array().unwrap().len(), &page.json["next_cursor"]), (2, &json!("token-2")));
    let last = world.get("/api/v1/users?limit=3&cursor=token-2").await;
    assert_eq!((last.json["items"].as_array().unwrap().len(), &last.json["next_cursor"]), (3, &json!(null)));
    assert_eq!(world.neighbours.list_users.messages()[1].page_token, "token-2");
}

#[tokio::test]
async fn the_address_of_another_is_not_there_rather_than_empty() {
    let world = World::start().await;
    world.neighbours.get_user.answers(|_| Ok(GetUserResponse { user: Some(proto::auth::User { email: String::new(), ..user() }) }));
    let answer = world.get(&format!("/api/v1/users/{OTHER}")).await;
    assert!(answer.status.is_success() && answer.json.get("email").is_none(), "{}", answer.json);
}

#[tokio::test]
async fn a_user_sees_its_own_orders_and_an_admin_everybodys() {
    let world = World::start().await;
    world.neighbours.list_orders.answers(|_| Ok(ListOrdersResponse::default()));
    world.neighbours.get_order.answers(|_| Ok(GetOrderResponse { order: Some(order()) }));
    let ask = async || {
        world.get("/api/v1/orders?status=paid&created_from=2026-11-01T00:00:00Z").await;
        world.get(&format!("/api/v1/orders/{ORDER}?include=customer")).await;
    };
    ask().await;
    world.promote();
    ask().await;
    let lists = world.neighbours.list_orders.messages();
    assert_eq!([lists[0].user_id.as_str(), lists[1].user_id.as_str()], [ADA, ""]);
    assert_eq!((lists[0].status, lists[0].created_from.unwrap().seconds), (3, 1_793_491_200));
    let reads = world.neighbours.get_order.messages();
    assert_eq!([reads[0].user_id.as_str(), reads[1].user_id.as_str()], [ADA, ""]);
    assert!(reads[0].include_customer && reads[0].without_items);
}
