//! Ten minutes of mixed load after a warm-up: nothing fails, every count agrees in the end, and no service grows.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    running::{Mesh, json_of, resident},
    truth::Truth,
};

const AT_ONCE: usize = 16;
const STOCK: i64 = 1_000_000;
/// Pools, caches and export queues fill in this time.
const WARM_UP: Duration = Duration::from_mins(3);
/// The first and the last minute of the ten: memory is the mean of such a time, as it breathes with the batches.
const WINDOW: Duration = Duration::from_mins(1);
const BETWEEN: Duration = Duration::from_mins(8);
const LOOK: Duration = Duration::from_secs(2);
/// How much the resident memory of a service may grow, in percent.
const GROWTH: u64 = 5;

/// Resident memory in KiB by service, as the mean of several looks.
type Memory = BTreeMap<String, u64>;

#[expect(clippy::print_stdout, reason = "the figures are the result of a soak")]
#[tokio::test]
async fn ten_minutes_of_mixed_load_lose_nothing_and_leak_nothing() {
    let mesh = Mesh::start(&[]);
    let visitor = Visitor { mesh: &mesh, products: mesh.products(50).await };
    let (mut placed, mut others) = visitor.visit(WARM_UP).await;
    let mut windows = Vec::new();
    for span in [WINDOW, BETWEEN, WINDOW] {
        let ((orders, reads), memory) = tokio::join!(visitor.visit(span), memory(&mesh, span));
        (placed, others) = (placed + orders, others + reads);
        windows.push(memory);
    }
    let (before, after) = (&windows[0], &windows[2]);

    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    assert_eq!(truth.orders().await, i64::try_from(placed).unwrap() + 1);
    truth.agrees(&mesh, STOCK).await;
    println!("{placed} orders, {others} other requests; resident KiB before {before:?}, after {after:?}");
    let grown: Vec<_> = after.iter().filter(|(service, kib)| *kib * 100 > before[*service] * (100 + GROWTH)).collect();
    assert!(grown.is_empty(), "grown by more than {GROWTH} %: {grown:?}, from {before:?}");
}

/// Somebody who reads more than they buy, as most do.
struct Visitor<'a> {
    mesh: &'a Mesh,
    products: Vec<String>,
}

impl Visitor<'_> {
    /// How many orders were placed, and how many other requests were answered.
    async fn visit(&self, span: Duration) -> (usize, usize) {
        let (token, end) = (&self.mesh.token().await, Instant::now() + span);
        let turns = stream::iter(0_usize..).take_while(|_| std::future::ready(Instant::now() < end));
        let done = turns.map(|turn| async move {
            let (request, status) = self.request(turn, token);
            json_of(request.send().await.unwrap(), status).await;
            usize::from(status == StatusCode::CREATED)
        });
        done.buffer_unordered(AT_ONCE).fold((0, 0), |(orders, others), order| async move { (orders + order, others + 1 - order) }).await
    }

    fn request(&self, turn: usize, token: &str) -> (RequestBuilder, StatusCode) {
        let product = &self.products[turn % self.products.len()];
        let get = |path: &str| (self.mesh.client.get(self.mesh.url(path)).bearer_auth(token), StatusCode::OK);
        match turn % 10 {
            0..4 => {
                let order = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
                (self.mesh.client.post(self.mesh.url("/api/v1/orders")).bearer_auth(token).json(&order), StatusCode::CREATED)
            }
            4 | 5 => get(&format!("/api/v1/products/{product}")),
            6 => get("/api/v1/orders?limit=10"),
            7 => get("/api/v1/products/search?q=coffee"),
            8 => get("/api/v1/auth/me"),
            _ => get("/api/v1/leaderboard"),
        }
    }
}

/// What the services need over a span of time, on average.
async fn memory(mesh: &Mesh, span: Duration) -> Memory {
    let status: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    let services = status["services"].as_array().unwrap();
    let (mut sums, mut looks, end) = (Memory::new(), 0, Instant::now() + span);
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        clock.tick().await;
        looks += 1;
        for service in services {
            *sums.entry(service["name"].as_str().unwrap().to_owned()).or_default() += resident(service);
        }
    }
    sums.into_iter().map(|(service, sum)| (service, sum / looks)).collect()
}
