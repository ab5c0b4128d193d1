//! Ten minutes of orders: none fails, every count agrees in the end, and no service grows.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    running::{Mesh, json_of, resident},
    truth::Truth,
};

const AT_ONCE: usize = 16;
const STOCK: i64 = 1_000_000;
/// Pools, caches and export queues fill in this time.
const WARM_UP: Duration = Duration::from_mins(2);
const SOAK: Duration = Duration::from_mins(8);
/// How much the resident memory of a service may grow after the warm-up.
const GROWTH_KB: u64 = 32 * 1024;

#[expect(clippy::print_stdout, reason = "the figures are the result of a soak")]
#[tokio::test]
async fn ten_minutes_of_orders_lose_nothing_and_leak_nothing() {
    let mesh = Mesh::start(&[]);
    let products = mesh.products(50).await;
    let mut placed = orders_until(&mesh, &products, Instant::now() + WARM_UP).await;
    let before = residents(&mesh);
    placed += orders_until(&mesh, &products, Instant::now() + SOAK).await;
    let after = residents(&mesh);

    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    assert_eq!(truth.orders().await, i64::try_from(placed).unwrap() + 1);
    truth.agrees(&mesh, STOCK).await;
    println!("{placed} orders; resident kB before {before:?}, after {after:?}");
    for (service, kb) in &after {
        assert!(*kb < before[service] + GROWTH_KB, "{service} grew from {} to {kb} kB", before[service]);
    }
}

async fn orders_until(mesh: &Mesh, products: &[String], end: Instant) -> usize {
    let token = mesh.token().await;
    stream::iter(0..)
        .take_while(|_| std::future::ready(Instant::now() < end))
        .map(|turn: usize| {
            let (token, product) = (&token, products[turn % products.len()].clone());
            async move {
                json_of(mesh.place(token, &[product], &[]).await, StatusCode::CREATED).await;
            }
        })
        .buffer_unordered(AT_ONCE)
        .count()
        .await
}

/// Resident memory in KiB by service.
fn residents(mesh: &Mesh) -> BTreeMap<String, u64> {
    let status: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    let of = |service: &Value| (service["name"].as_str().unwrap().to_owned(), resident(service));
    status["services"].as_array().unwrap().iter().map(of).collect()
}
