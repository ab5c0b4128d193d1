//! The whole API on real parts: what one request changes, another one sees.

use std::collections::BTreeSet;

use meshctl::trace::Protocol;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    conventions::all_spans,
    running::{Mesh, eventually, json_of},
};

/// Somebody who has logged in.
struct Visitor<'a> {
    mesh: &'a Mesh,
    token: String,
    refresh_token: String,
    user_id: String,
}

impl<'a> Visitor<'a> {
    async fn log_in(mesh: &'a Mesh, email: &str, password: &str) -> Self {
        let login = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }));
        let answer = json_of(login.send().await.unwrap(), StatusCode::OK).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            mesh,
            token: text(&answer["access_token"]),
            refresh_token: text(&answer["refresh_token"]),
            user_id: text(&answer["user"]["user_id"]),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let request = self.mesh.client.request(method, self.mesh.url(&format!("/api/v1/{path}"))).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        json_of(self.send(Method::GET, path, None).await, StatusCode::OK).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        json_of(self.send(Method::POST, path, Some(body)).await, StatusCode::CREATED).await
    }

    async fn put(&self, path: &str, body: &Value) -> Value {
        json_of(self.send(Method::PUT, path, Some(body)).await, StatusCode::OK).await
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        self.send(method, path, None).await.status().as_u16()
    }
}

async fn registered<'a>(mesh: &'a Mesh, name: &str) -> Visitor<'a> {
    let (email, password) = (format!("{name}@example.org"), "a long enough password");
    let user = json!({ "username": name, "email": email, "password": password });
    let register = mesh.client.post(mesh.url("/api/v1/auth/register")).json(&user);
    json_of(register.send().await.unwrap(), StatusCode::CREATED).await;
    Visitor::log_in(mesh, &email, password).await
}

async fn admin(mesh: &Mesh) -> Visitor<'_> {
    let (email, password) = mesh.admin();
    Visitor::log_in(mesh, &email, &password).await
}

/// The smallest PNG that there is: one transparent pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15,
    0xc4, 0x89, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E',
    b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_on_real_parts() {
    let mesh = Mesh::start(&[]);
    let (ada, admin) = (registered(&mesh, "ada").await, admin(&mesh).await);
    accounts(&ada, &admin).await;
    let product = products(&ada, &admin).await;
    orders(&ada, &admin, &product).await;
    posts(&ada, &admin).await;
    live_events(&mesh, &ada, &admin).await;
    sessions(&ada).await;
    redis_patterns(&mesh, &ada).await;
}

/// What Redis is used for can be read from the traces of all that went before, command by command.
async fn redis_patterns(mesh: &Mesh, ada: &Visitor<'_>) {
    let wrong = json!({ "email": "ada@example.org", "password": "not the password" });
    assert_eq!(ada.send(Method::POST, "auth/login", Some(&wrong)).await.status(), StatusCode::UNAUTHORIZED);
    ada.get("leaderboard").await;
    let patterns = ["GET", "MGET", "SET", "DEL", "EXPIRE", "INCR", "ZADD", "ZRANGE", "PUBLISH", "EVAL"];
    eventually(|| async {
        let spans = all_spans(mesh).await;
        let texts = spans
            .iter()
            .filter(|span| span.protocol() == Some(Protocol::Redis))
            .flat_map(|span| [span.text("db.operation.name"), span.text("db.query.text")].into_iter().flatten().collect::<Vec<_>>());
        let seen: BTreeSet<String> = texts
            .flat_map(|text| text.split("; ").filter_map(|part| Some(part.split(' ').next()?.to_owned())).collect::<Vec<_>>())
            .collect();
        let missing: Vec<&str> = patterns.into_iter().filter(|pattern| !seen.contains(*pattern)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("no span tells of {missing:?}; they tell of {seen:?}")) }
    })
    .await;
}

async fn accounts(ada: &Visitor<'_>, admin: &Visitor<'_>) {
    assert_eq!(ada.get("auth/me").await["email"], "ada@example.org");
    let path = format!("users/{}", ada.user_id);
    assert_eq!(admin.get(&path).await["email"], "ada@example.org");
    assert!(ada.get(&format!("users/{}", admin.user_id)).await.get("email").is_none());
    assert_eq!(ada.put(&path, &json!({ "username": "ada.lovelace" })).await["version"], 2);
    assert_eq!(ada.status(Method::GET, "users").await, 403);
    let listed = admin.get("users?limit=100").await;
    assert!(listed["items"].as_array().unwrap().iter().any(|user| user["username"] == "ada.lovelace"), "{listed}");
    let head = b"--cut\r\ncontent-disposition: form-data; name=\"avatar\"; filename=\"a.png\"\r\n\r\n";
    let form = [head.as_slice(), PNG, b"\r\n--cut--\r\n"].concat();
    let url = ada.mesh.url(&format!("/api/v1/{path}/avatar"));
    let request = ada.mesh.client.post(&url).bearer_auth(&ada.token).header("content-type", "multipart/form-data; boundary=cut");
    let sent = request.body(form).send().await.unwrap();
    assert_eq!(json_of(sent, StatusCode::OK).await["media_type"], "image/png");
    let picture = ada.mesh.client.get(&url).bearer_auth(&admin.token).send().await.unwrap();
    assert_eq!(picture.bytes().await.unwrap(), PNG);
    let other = json!({ "username": "bob", "email": "bob@example.org", "password": "a long enough password", "role": "user" });
    let bob = admin.post("users", &other).await;
    assert_eq!(json_of(admin.send(Method::POST, "users", Some(&other)).await, StatusCode::CONFLICT).await["status"], 409);
    let bobs = format!("users/{}", bob["user_id"].as_str().unwrap());
    assert_eq!([ada.status(Method::DELETE, &bobs).await, admin.status(Method::DELETE, &bobs).await], [403, 204]);
    assert_eq!(admin.status(Method::GET, &bobs).await, 404);
}

/// A new product that is in stock.
async fn products(ada: &Visitor<'_>, admin: &Visitor<'_>) -> String {
    let mut draft = json!({ "sku": "TEA-777", "name": "Smoky tea", "category": "tea", "price": "7.77", "currency": "EUR" });
    assert_eq!(ada.send(Method::POST, "products", Some(&draft)).await.status().as_u16(), 403);
    let product = admin.post("products", &draft).await;
    let id = product["product_id"].as_str().unwrap().to_owned();
    let path = format!("products/{id}");
    assert_eq!(ada.get(&path).await["price"], "7.77");
    draft["price"] = "8.00".into();
    assert_eq!(admin.put(&path, &draft).await["version"], 2);
    assert_eq!(ada.get(&path).await["price"], "8.00", "the cache has the change");
    let found = ada.get("products/search?q=smoky+teas").await;
    assert_eq!(found["items"][0]["product_id"], json!(id), "{found}");
    assert_eq!(admin.put(&format!("{path}/stock"), &json!({ "available": 5 })).await["available"], 5);
    let batch = json!({ "ids": [id, ada.user_id] });
    let batch = json_of(ada.send(Method::POST, "products/batch", Some(&batch)).await, StatusCode::OK).await;
    assert_eq!((&batch["items"][0]["sku"], &batch["unknown"]), (&json!("TEA-777"), &json!([ada.user_id])));
    id
}

async fn orders(ada: &Visitor<'_>, admin: &Visitor<'_>, product: &str) {
    let basket = json!({ "items": [{ "product_id": product, "quantity": 2 }] });
    let paths = [ada.post("orders", &basket).await, ada.post("orders", &basket).await]
        .map(|order| format!("orders/{}", order["order_id"].as_str().unwrap()));
    assert_eq!(ada.get(&format!("products/{product}/stock")).await["available"], 1);
    let scarce = json_of(ada.send(Method::POST, "orders", Some(&basket)).await, StatusCode::CONFLICT).await;
    assert_eq!(scarce["type"], "/problems/insufficient-stock");
    let cancelled = json_of(ada.send(Method::DELETE, &paths[0], None).await, StatusCode::OK).await;
    assert_eq!((&cancelled["status"], &cancelled["version"]), (&json!("cancelled"), &json!(2)));
    assert_eq!(ada.get(&format!("products/{product}/stock")).await["available"], 3, "cancelled stock returns");
    let step = format!("{}/status", paths[1]);
    assert_eq!(ada.send(Method::PUT, &step, Some(&json!({ "status": "paid" }))).await.status().as_u16(), 403);
    for status in ["paid", "shipped"] {
        assert_eq!(admin.put(&step, &json!({ "status": status })).await["status"], status);
    }
    let late = json_of(ada.send(Method::DELETE, &paths[1], None).await, StatusCode::CONFLICT).await;
    assert_eq!(late["type"], "/problems/status-step-forbidden");
    let whole = ada.get(&format!("{}?include=customer,items", paths[1])).await;
    assert_eq!((&whole["customer"]["username"], &whole["items"][0]["unit_price"]), (&json!("ada"), &json!("8.00")), "{whole}");
    assert_eq!(ada.get("orders?status=shipped").await["items"].as_array().unwrap().len(), 1);
    let stats = ada.get("orders/stats").await;
    assert_eq!((&stats["by_currency"][0]["orders"], &stats["by_currency"][0]["revenue"]), (&json!(1), &json!("16.00")), "{stats}");
    assert_eq!(admin.get(&format!("customers/{}/orders", ada.user_id)).await["items"].as_array().unwrap().len(), 2);
    eventually(|| async {
        let board = ada.get("leaderboard?limit=100").await;
        let sold = |place: &Value| place["product_id"] == product && place["units"] == 2;
        let right = board["items"].as_array().unwrap().iter().any(sold);
        if right { Ok(()) } else { Err(format!("not what was sold less what was returned: {board}")) }
    })
    .await;
}

async fn posts(ada: &Visitor<'_>, admin: &Visitor<'_>) {
    let post = ada.post("posts", &json!({ "title": "Tea", "body": "Smoky." })).await;
    let path = format!("posts/{}", post["post_id"].as_str().unwrap());
    admin.post(&format!("{path}/comments"), &json!({ "body": "Indeed." })).await;
    let read = ada.get(&path).await;
    assert_eq!((&read["title"], &read["comments"][0]["body"]), (&json!("Tea"), &json!("Indeed.")));
    assert_eq!(ada.put(&path, &json!({ "title": "Tea", "body": "Very smoky." })).await["version"], 2);
    assert_eq!(ada.get(&path).await["body"], "Very smoky.");
    assert_eq!(ada.get(&format!("users/{}/posts", ada.user_id)).await["items"].as_array().unwrap().len(), 1);
    assert_eq!([ada.status(Method::DELETE, &path).await, ada.status(Method::GET, &path).await], [204, 404]);
}

async fn live_events(mesh: &Mesh, ada: &Visitor<'_>, admin: &Visitor<'_>) {
    let request = mesh.client.get(mesh.url("/api/v1/events?types=UserLoggedIn")).bearer_auth(&admin.token);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let mut text = String::new();
    while !text.contains("listening") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    Visitor::log_in(mesh, "ada@example.org", "a long enough password").await;
    let seen = async {
        while !text.contains(&ada.user_id) {
            text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("the login is not told"));
}

async fn sessions(ada: &Visitor<'_>) {
    let check = json!({ "key": "downloads", "limit": 2, "window_seconds": 3600 });
    for expected in [200, 200, 429] {
        assert_eq!(ada.send(Method::POST, "rate-limit/check", Some(&check)).await.status().as_u16(), expected);
    }
    let refresh = async |token: &str| {
        let request = ada.mesh.client.post(ada.mesh.url("/api/v1/auth/refresh")).json(&json!({ "refresh_token": token }));
        request.send().await.unwrap()
    };
    let fresh = json_of(refresh(&ada.refresh_token).await, StatusCode::OK).await;
    let reused = json_of(refresh(&ada.refresh_token).await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(reused["type"], "/problems/token-reused");
    let ended = json_of(refresh(fresh["refresh_token"].as_str().unwrap()).await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(ended["type"], "/problems/session-ended", "a stolen token ends the family");
    assert_eq!(ada.status(Method::GET, "auth/me").await, 401);
}
