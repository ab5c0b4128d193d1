//! Promise D: an event that was committed and not published survives the death of its service.

use reqwest::StatusCode;

use crate::{
    edges::{missing, order_paths},
    running::{Mesh, eventually, header},
    truth::Truth,
};

#[tokio::test]
async fn orders_killed_between_commit_and_publish_loses_nothing_and_doubles_nothing() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let products = mesh.products(3).await;
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;

    mesh.signal("kafka", "STOP");
    let mut traces = Vec::new();
    for _ in 0..10 {
        let order = mesh.place(&token, &products, &[]).await;
        assert_eq!(order.status(), StatusCode::CREATED, "orders are taken while Kafka stands still");
        traces.push(header(&order, "x-trace-id"));
    }
    assert_eq!(truth.number("SELECT count(*) FROM orders.outbox").await, 10, "committed and not published");
    mesh.signal("orders", "KILL");
    mesh.signal("kafka", "CONT");
    mesh.meshctl(&["start", "orders"]);

    truth.settled(&mesh).await;
    truth.agrees(&mesh, 1_000_000).await;
    assert_eq!(truth.orders().await, 11);
    // The spans of the request died with the process; those of the events are there, under the trace of the request.
    let consumers = order_paths().into_iter().filter(|path| path.len() > 5).map(|path| path[4..].to_vec()).collect::<Vec<_>>();
    for trace_id in traces {
        mesh.trace(&trace_id, |trace| missing(trace, &consumers, None).into_iter().filter(|lack| lack.contains('→')).collect()).await;
    }
    eventually(|| async {
        let dead = truth.number("SELECT count(*) FROM events.processed_events").await;
        if dead > 0 { Ok(()) } else { Err("no event was processed".to_owned()) }
    })
    .await;
}
