//! A log line finds its trace and back, and what is logged changes while a service runs.

use meshctl::trace::{Kind, SpanFilter};
use reqwest::StatusCode;
use serde_json::Value;

use crate::running::{Mesh, eventually, header, json_of};

/// Lines of a service, all of which must be JSON.
fn lines(mesh: &Mesh, service: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(mesh.home().join(format!("logs/{service}.log"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn is_utc_time(text: &str) -> bool {
    let shape: String = text.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

#[tokio::test]
async fn a_log_line_finds_its_trace_and_a_trace_its_log_line() {
    let mesh = Mesh::start(&[]);
    let (token, products) = (mesh.token().await, mesh.products(2).await);
    let response = mesh.place(&token, &products, &[]).await;
    let trace_id = header(&response, "x-trace-id");
    let order = json_of(response, StatusCode::CREATED).await;

    // from the trace to the line
    let told: Vec<Value> = lines(&mesh, "orders").into_iter().filter(|line| line["trace_id"] == trace_id.as_str()).collect();
    let [line] = &told[..] else { panic!("one line was to have trace id {trace_id}: {told:#?}") };
    assert_eq!((&line["message"], &line["service"], &line["level"]), (&"order placed".into(), &"orders".into(), &"INFO".into()));
    assert_eq!((&line["order_id"], &line["total_amount"]), (&order["order_id"], &order["total_amount"]));
    assert_eq!((&line["currency"], &line["lines"]), (&order["currency"], &2.into()));
    assert!(is_utc_time(line["timestamp"].as_str().unwrap()), "{line}");

    // from the line to the trace, and to the span in which it was written
    let span_id = line["span_id"].as_str().unwrap();
    let server = SpanFilter::service("orders").kind(Kind::Server).name("throughline.orders.v1.OrderService/PlaceOrder");
    let lacks = |found: bool| if found { Vec::new() } else { vec![format!("the span {span_id}")] };
    mesh.trace(&trace_id, |trace| lacks(trace.find(&server).iter().any(|span| span.id == span_id))).await;

    for service in ["gateway", "auth", "catalog-cache", "dispatch", "notification", "analytics"] {
        for line in lines(&mesh, service) {
            assert_eq!(line["service"], service);
            assert!(is_utc_time(line["timestamp"].as_str().unwrap()), "{line}");
        }
    }
}

#[tokio::test]
async fn what_is_logged_changes_while_a_service_runs() {
    let mesh = Mesh::start(&[]);
    let (token, products) = (mesh.token().await, mesh.products(1).await);
    assert_eq!(mesh.meshctl(&["log-level", "orders"]).trim(), "orders logs info");
    let count = |level: &str| lines(&mesh, "orders").iter().filter(|line| line["level"] == level).count();
    let before = count("INFO");
    json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
    assert_eq!((count("INFO"), count("DEBUG")), (before + 1, 0));

    let quiet: Value = serde_json::from_str(&mesh.meshctl(&["log-level", "orders", "error", "--json"])).unwrap();
    assert_eq!((&quiet["service"], &quiet["level"], &quiet["live"]), (&"orders".into(), &"error".into(), &true.into()));
    json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
    assert_eq!(count("INFO"), before + 1);
    mesh.meshctl(&["log-level", "orders", "info,h2=debug"]);
    eventually(|| async {
        json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
        if count("DEBUG") > 0 { Ok(()) } else { Err("nothing is told at level DEBUG".into()) }
    })
    .await;

    let refused = mesh.command(&["log-level", "orders", "loud"]).output().unwrap();
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{reason}");
    assert!(reason.contains("loud") && reason.contains("error, warn, info, debug or trace"), "{reason}");
    assert!(mesh.meshctl(&["log-level", "orders"]).contains("info,h2=debug"), "a refusal changes nothing");

    // a service that is told so keeps its level
    let mut restart = mesh.command(&["restart", "orders"]);
    crate::running::success(&restart.env("MESH_ENV__ORDERS__THROUGHLINE_LOG__LIVE", "false").output().unwrap());
    let refused = mesh.command(&["log-level", "orders", "debug"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(mesh.meshctl(&["log-level", "orders"]).trim(), "orders logs info");
}
