//! Postgres is restarted under load: who places an order hears 503 until it is back and repeats with the same key; no order that
//! was committed is lost, none is there twice, and no service had to be restarted.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use reqwest::StatusCode;
use tokio::process::Command;

use crate::{
    running::{Mesh, PATIENCE, json_of},
    truth::Truth,
};

const ORDERS: usize = 1_500;
const AT_ONCE: usize = 16;
/// Orders after which Postgres goes, each time.
const RESTARTS: [usize; 2] = [300, 800];
/// What the answer to a refusal asks for at most, and what a caller may have to wait for one.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends an order until it is answered well; its id, and how often it was refused.
async fn place(mesh: &Mesh, token: &str, product: &[String], key: &str) -> (String, usize) {
    let (begun, mut refused) = (Instant::now(), 0);
    loop {
        let answer = mesh.place(token, product, &[("idempotency-key", key)]).await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(begun.elapsed() < PATIENCE, "{key} is refused for ever");
            refused += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        // 200 where an attempt that was refused had been committed
        let status = if answer.status() == StatusCode::OK { StatusCode::OK } else { StatusCode::CREATED };
        return (json_of(answer, status).await["order_id"].as_str().unwrap().to_owned(), refused);
    }
}

#[tokio::test]
async fn postgres_restarted_under_load_loses_no_order_and_doubles_none() {
    let mesh = Mesh::start(&[]);
    let (token, products) = (mesh.token().await, mesh.products(20).await);
    let (mesh, token, products) = (&mesh, &token, &products);
    let orders = stream::iter(0..ORDERS).map(|turn| async move {
        if RESTARTS.contains(&turn) {
            assert!(Command::from(mesh.command(&["restart", "postgres"])).output().await.unwrap().status.success());
        }
        place(mesh, token, &products[turn % 20..=turn % 20], &format!("restart-{turn}")).await
    });
    let answered: Vec<(String, usize)> = orders.buffer_unordered(AT_ONCE).collect().await;
    let refused: usize = answered.iter().map(|(_, refused)| refused).sum();
    assert!(refused > 0, "nobody has noticed the restarts");

    let truth = Truth::of(mesh).await;
    let mut ids: Vec<&str> = answered.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), ORDERS, "each key has an order of its own");
    let kept = format!("SELECT count(*) FROM orders.orders WHERE order_id IN ('{}')", ids.join("','"));
    assert_eq!(truth.number(&kept).await, i64::try_from(ORDERS).unwrap(), "what was answered is there");
    truth.settled(mesh).await;
    // the one of `up` beside them
    assert_eq!(truth.orders().await, i64::try_from(ORDERS).unwrap() + 1, "and nothing else is");
    truth.agrees(mesh, 1_000_000).await;
}
