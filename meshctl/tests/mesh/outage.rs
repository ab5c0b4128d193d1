//! Promise F, second half: with a dependency gone the caller hears 503 within two seconds where the answer needs it, and
//! all is well again when it is back, without a restart.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::{
    running::{Mesh, eventually, header},
    truth::Truth,
};

const LIMIT: Duration = Duration::from_secs(2);

/// Asserts a 503 problem with Retry-After, in time.
async fn refused(what: &str, request: RequestBuilder) {
    let begun = Instant::now();
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{what}");
    assert!(begun.elapsed() < LIMIT, "{what} took {:?}", begun.elapsed());
    assert_eq!(header(&response, "content-type"), "application/problem+json", "{what}");
    assert!(header(&response, "retry-after").parse::<u32>().is_ok(), "{what}");
}

async fn recovers(what: &str, request: impl Fn() -> RequestBuilder) {
    eventually(|| async {
        let status = request().send().await.unwrap().status();
        if status.is_success() { Ok(()) } else { Err(format!("{what}: still {status}")) }
    })
    .await;
}

struct Caller<'a> {
    mesh: &'a Mesh,
    token: String,
    product: String,
}

impl<'a> Caller<'a> {
    async fn of(mesh: &'a Mesh) -> Self {
        Self { mesh, token: mesh.token().await, product: mesh.products(1).await.remove(0) }
    }

    fn order(&self) -> RequestBuilder {
        let body = json!({ "items": [{ "product_id": self.product, "quantity": 1 }] });
        self.mesh.client.post(self.mesh.url("/api/v1/orders")).bearer_auth(&self.token).json(&body)
    }

    fn orders(&self) -> RequestBuilder {
        self.mesh.client.get(self.mesh.url("/api/v1/orders")).bearer_auth(&self.token)
    }

    fn login(&self) -> RequestBuilder {
        let (email, password) = self.mesh.demo();
        self.mesh.client.post(self.mesh.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }))
    }

    fn products(&self) -> RequestBuilder {
        self.mesh.client.get(self.mesh.url("/api/v1/products?limit=5"))
    }

    fn product(&self) -> RequestBuilder {
        self.mesh.client.get(self.mesh.url(&format!("/api/v1/products/{}", self.product)))
    }
}

/// Takes `process` away in both ways that a process can be gone: dead, and there but silent.
async fn while_gone(mesh: &Mesh, process: &str, check: impl AsyncFn(&str)) {
    mesh.signal(process, "STOP");
    check(&format!("{process} silent")).await;
    mesh.signal(process, "CONT");
    mesh.meshctl(&["stop", process]);
    check(&format!("{process} stopped")).await;
    mesh.meshctl(&["start", process]);
}

#[tokio::test]
async fn without_postgres() {
    let mesh = Mesh::start(&[]);
    let caller = Caller::of(&mesh).await;
    recovers("product", || caller.product()).await;
    while_gone(&mesh, "postgres", async |how| {
        refused(&format!("an order, {how}"), caller.order()).await;
        refused(&format!("a list of orders, {how}"), caller.orders()).await;
        refused(&format!("a login, {how}"), caller.login()).await;
        assert_eq!(caller.product().send().await.unwrap().status(), StatusCode::OK, "a cached product, {how}");
    })
    .await;
    recovers("order", || caller.order()).await;
    recovers("login", || caller.login()).await;
    recovers("products", || caller.products()).await;
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    truth.agrees(&mesh, 1_000_000).await;
}

#[tokio::test]
async fn without_redis() {
    let mesh = Mesh::start(&[]);
    let caller = Caller::of(&mesh).await;
    while_gone(&mesh, "redis", async |how| {
        refused(&format!("an order, {how}"), caller.order()).await;
        refused(&format!("a login, {how}"), caller.login()).await;
        for request in [caller.product(), caller.products()] {
            let begun = Instant::now();
            assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "products are read from Postgres, {how}");
            assert!(begun.elapsed() < LIMIT);
        }
    })
    .await;
    // the sessions are in Redis' append-only file: nobody has to log in again
    recovers("order", || caller.order()).await;
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    truth.agrees(&mesh, 1_000_000).await;
}

#[tokio::test]
async fn without_kafka() {
    let mesh = Mesh::start(&[]);
    let caller = Caller::of(&mesh).await;
    while_gone(&mesh, "kafka", async |how| {
        for request in [caller.order(), caller.login(), caller.products()] {
            let begun = Instant::now();
            let status = request.send().await.unwrap().status();
            assert!(status.is_success(), "{status}: nothing that a caller waits for needs Kafka, {how}");
            assert!(begun.elapsed() < LIMIT);
        }
    })
    .await;
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    assert_eq!(truth.orders().await, 3, "the order of `up` and one per outage, published now that Kafka is back");
    truth.agrees(&mesh, 1_000_000).await;
}
