//! `verify` on a real mesh: whole where all is well, and the defect by its name where it is not.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    running::{Mesh, eventually, success},
    truth::Truth,
};

fn verify(mesh: &Mesh, arguments: &[&str]) -> Output {
    mesh.command(&[&["verify", "--json"], arguments].concat()).output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn defects(report: &Value) -> Vec<String> {
    let rows = report["defects"].as_array().unwrap().iter();
    rows.map(|row| format!("{}: {}", row["defect"].as_str().unwrap(), row["place"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_hundred_orders_are_a_hundred_complete_traces_from_both_query_apis() {
    let mesh = Mesh::start(&[]);
    for backend in ["embedded", "tempo"] {
        let output = verify(&mesh, &["--orders", "100", "--backend", backend]);
        let report = report(&output);
        assert!(output.status.success(), "{report:#}");
        assert_eq!((&report["complete_percent"], &report["traces"]["complete"]), (&100.0.into(), &100.into()));
        assert_eq!((&report["spans"]["dropped"], report["orders"]["refused"].as_object().unwrap().len()), (&0.into(), 0));
    }
    // the order that `up` placed had no caller, and a cold cache
    let first: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    let tree = mesh.command(&["verify", "--explain", first["trace_id"].as_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8_lossy(success(&tree)).contains("catalog-cache SQL SELECT catalog.products"));
}

#[tokio::test]
async fn a_service_that_sends_no_spans_is_named() {
    let mesh = Mesh::start(&[]);
    mesh.meshctl(&["stop", "auth"]);
    let silent = mesh.command(&["start", "auth"]).env("MESH_ENV__AUTH__THROUGHLINE_TELEMETRY__MODE", "off").output().unwrap();
    success(&silent);
    let output = verify(&mesh, &["--orders", "5", "--deadline", "4s"]);
    let report = report(&output);
    assert_eq!((output.status.code(), &report["traces"]["complete"]), (Some(1), &0.into()));
    assert_eq!(
        defects(&report),
        [
            "missing span: auth.validate → auth.session (auth client Redis), cut off at gateway.validate → auth.validate",
            "missing span: gateway.validate → auth.validate (auth server gRPC)",
        ]
    );
}

#[tokio::test]
async fn a_consumer_that_died_is_named_and_what_it_owes_comes_with_its_successor() {
    let mesh = Mesh::start(&[]);
    mesh.signal("analytics", "KILL");
    let output = verify(&mesh, &["--orders", "5", "--deadline", "4s"]);
    let broken = report(&output);
    assert_eq!((output.status.code(), &broken["traces"]["complete"]), (Some(1), &0.into()), "{broken:#}");
    let found = defects(&broken);
    assert!(found.contains(&"missing span: dispatch.count → analytics.process (analytics consumer Kafka)".to_owned()), "{found:#?}");
    let cut = "cut off at dispatch.count → analytics.process";
    assert!(found.iter().filter(|defect| !defect.contains("(analytics consumer")).all(|defect| defect.ends_with(cut)), "{found:#?}");

    mesh.meshctl(&["start", "analytics"]);
    let id = broken["defects"][0]["example"].as_str().unwrap();
    let healed = verify(&mesh, &["--trace", id, "--deadline", "60s"]);
    assert!(healed.status.success(), "{:#}", report(&healed));
}

/// Spans that wait for their export when their process dies are gone for good, and said to be.
#[tokio::test]
async fn what_a_service_had_not_exported_when_it_was_killed_is_named() {
    let mesh = Mesh::start(&[]);
    mesh.meshctl(&["stop", "orders"]);
    let patient = mesh.command(&["start", "orders"]).env("MESH_ENV__ORDERS__OTEL_BSP_SCHEDULE_DELAY", "600000").output().unwrap();
    success(&patient);
    let truth = Truth::of(&mesh).await;
    let before = truth.orders().await;
    let mut command = mesh.command(&["verify", "--json", "--orders", "3", "--deadline", "8s"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually(|| async { if truth.orders().await == before + 3 { Ok(()) } else { Err("the orders are not placed".to_owned()) } }).await;
    // what they cause has happened: only the telling is missing
    truth.settled(&mesh).await;
    mesh.signal("orders", "KILL");
    mesh.meshctl(&["start", "orders"]);
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert_eq!((output.status.code(), &report["traces"]["complete"]), (Some(1), &0.into()), "{report:#}");
    let found = defects(&report);
    for place in ["missing span: gateway.place → orders.place (orders server gRPC)", "orphan: dispatch.process"] {
        assert!(found.iter().any(|defect| defect == place), "{place} is not in {found:#?}");
    }
    let innocent = |defect: &&String| !defect.contains("orders") && !defect.starts_with("orphan");
    assert_eq!(found.iter().find(innocent), None, "only what orders owed is missing");
}

#[tokio::test]
async fn ten_seconds_without_a_backend_delay_spans_and_lose_none() {
    let mesh = Mesh::start(&[]);
    let stats = format!("{}/api/stats", mesh.endpoint("traces"));
    let traces = || async {
        let answer = mesh.client.get(&stats).send().await.map_err(|error| error.to_string())?;
        answer.json::<Value>().await.map_err(|error| error.to_string())?["traces"].as_u64().ok_or_else(|| "no traces".to_owned())
    };
    let before = traces().await.unwrap();
    let mut command = mesh.command(&["verify", "--json", "--duration", "14s", "--rate", "10", "--deadline", "60s"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually(|| async { if traces().await? > before + 5 { Ok(()) } else { Err("no order was placed".to_owned()) } }).await;
    mesh.signal("backend", "STOP");
    // how long it is away, which is what this is about
    tokio::time::sleep(Duration::from_secs(10)).await;
    mesh.signal("backend", "CONT");
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert!(report["ingest_delay_ms"]["max"].as_f64().unwrap() > 8_000.0, "the outage shows: {report:#}");
}
