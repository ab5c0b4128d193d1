//! Promise C: what holds for one order holds for two hundred, sixteen at a time.

use futures::{StreamExt, stream};
use reqwest::StatusCode;

use crate::{
    edges::{missing, order_paths},
    running::{Mesh, header},
    truth::Truth,
};

const ORDERS: usize = 200;
const AT_ONCE: usize = 16;
const STOCK: i64 = 1_000_000;

#[tokio::test]
async fn two_hundred_orders_are_two_hundred_whole_traces_and_every_count_agrees() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let products = mesh.products(9).await;
    let traces: Vec<String> = stream::iter(0..ORDERS)
        .map(|turn| {
            let (mesh, token) = (&mesh, &token);
            // overlapping threes, in changing order: every two orders compete for stock
            let mut three: Vec<String> = (0..3).map(|offset| products[(turn + offset) % products.len()].clone()).collect();
            three.rotate_left(turn % 3);
            async move {
                let order = mesh.place(token, &three, &[]).await;
                assert_eq!(order.status(), StatusCode::CREATED);
                header(&order, "x-trace-id")
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let paths = order_paths();
    for trace_id in &traces {
        mesh.trace(trace_id, |trace| missing(trace, &paths, None)).await;
    }
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    // the order that `up` places is one of them
    assert_eq!(truth.orders().await, i64::try_from(ORDERS).unwrap() + 1);
    truth.agrees(&mesh, STOCK).await;
}
