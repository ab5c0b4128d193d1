//! Dead letters of a mesh: seen, repaired, replayed, given up, and all of it in one trace.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use kafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use meshctl::trace::{SpanFilter, Trace};
use serde_json::{Value, json};

use crate::{
    documents::{bash, commands, fine},
    running::{Mesh, PATIENCE, eventually, success, traceparent},
    truth::{Truth, mails},
};

const PATCH: &str = r#"{"data":{"currency":"EUR"}}"#;

/// An event about an order that nobody placed; no currency, where it is to be poison.
fn placed(order_id: &str, poison: bool) -> String {
    let item = json!({ "product_id": order_id, "product_name": "Pot", "quantity": 1, "unit_price": "9.90" });
    let mut event = json!({
        "event_id": order_id, "event_type": "OrderPlaced", "schema_version": 1, "aggregate_type": "order",
        "aggregate_id": order_id, "aggregate_version": 1, "occurred_at": "2026-03-05T12:00:00Z",
        "data": {
            "order_id": order_id, "user_id": order_id, "username": "Ada", "email": "ada@example.com", "items": [item],
            "total_amount": "9.90", "currency": "EUR", "timestamp": "2026-03-05T12:00:00Z",
        },
    });
    if poison {
        event["data"].as_object_mut().unwrap().remove("currency");
    }
    event.to_string()
}

async fn send(mesh: &Mesh, key: &str, payload: &str, context: &str) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", mesh.endpoint("kafka")).create().unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(context) });
    let record = FutureRecord::to("orders.created").key(key).payload(payload).headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
}

fn dlq(mesh: &Mesh, arguments: &[&str]) -> Output {
    mesh.command(&[&["dlq"], arguments].concat()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn list(mesh: &Mesh, arguments: &[&str]) -> Value {
    serde_json::from_slice(success(&dlq(mesh, &[&["list", "--json"], arguments].concat()))).unwrap()
}

/// Waits until so many letters are open.
async fn opened(mesh: &Mesh, count: u64) -> Value {
    eventually(|| async {
        let list = list(mesh, &[]);
        if list["counts"]["open"] == count { Ok(list) } else { Err(format!("not {count} open: {list:#}")) }
    })
    .await
}

fn span(service: &str, name: &str) -> SpanFilter {
    SpanFilter::service(service).name(name)
}

fn processed(service: &str, name: &str, outcome: &str) -> SpanFilter {
    span(service, name).attribute("throughline.consumer.outcome", outcome)
}

fn lacks(trace: &Trace, path: &[SpanFilter]) -> Vec<String> {
    let missing = (1..=path.len()).find(|length| trace.find_path(&path[..*length]).is_none());
    missing.map(|length| format!("{}", path[length - 1])).into_iter().collect()
}

/// Twice dead, twice replayed, in the end handled.
fn story() -> Vec<SpanFilter> {
    let dies = || [processed("dispatch", "process orders.created", "dead_lettered"), span("dispatch", "send dlq")];
    let again = || span("dlq-replay", "send orders.created");
    let [first, second] = [dies(), dies()];
    let mut path: Vec<SpanFilter> = first.into_iter().chain([again()]).chain(second).chain([again()]).collect();
    path.extend([
        processed("dispatch", "process orders.created", "processed").attribute("throughline.replays", "2"),
        span("dispatch", "send notifications"),
        processed("notification", "process notifications", "processed"),
    ]);
    path
}

#[tokio::test]
async fn a_poison_record_is_seen_replayed_repaired_and_followed_in_one_trace() {
    let mesh = Mesh::start(&[]);
    Truth::of(&mesh).await.settled(&mesh).await;
    let (order, before) = ("019a0000-0000-7000-8000-000000000001", mails(&mesh).len());
    let (context, trace_id) = traceparent(true);
    send(&mesh, order, &placed(order, true), &context).await;
    let first = opened(&mesh, 1).await["letters"][0].clone();
    assert_eq!((&first["id"], &first["topic"], &first["consumer"]), (&json!("0:0"), &json!("orders.created"), &json!("dispatch")));
    assert_eq!((&first["error_type"], &first["exception_class"]), (&json!("permanent"), &json!("serde_json::Error")));
    assert_eq!((&first["trace_id"], &first["key"], &first["attempts_total"]), (&json!(trace_id), &json!(order), &json!(1)));
    let shown = mesh.meshctl(&["dlq", "list", "--topic", "orders.created", "--since", "1h"]);
    assert!(shown.contains("0:0") && shown.contains("missing field") && shown.contains("1 letter: 1 open"), "{shown}");
    let shown = mesh.meshctl(&["dlq", "show", "0:0"]);
    for part in [&format!("./mesh trace {trace_id}"), "dlq.original.offset: ", "value (JSON, ", "\"username\": \"Ada\""] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let whole: Value = serde_json::from_str(&mesh.meshctl(&["dlq", "show", "0:0", "--json"])).unwrap();
    assert_eq!(whole["payload"].as_str(), Some(placed(order, true).as_str()));

    let planned = mesh.meshctl(&["dlq", "replay", "--all", "--dry-run", "--patch", PATCH]);
    assert!(planned.contains("0:0 -> orders.created") && planned.contains("\"currency\":\"EUR\"") && planned.contains("nothing was sent"));
    assert_eq!(list(&mesh, &["--state", "all"])["counts"], json!({ "open": 1, "replayed": 0, "purged": 0 }));

    // replayed as it is, it fails again and comes back with what happened before
    assert!(mesh.meshctl(&["dlq", "replay", "0:0"]).contains("1 letter replayed"));
    let second = eventually(|| async {
        let list = list(&mesh, &[]);
        list["letters"].as_array().and_then(|all| all.iter().find(|one| one["id"] == "0:1")).cloned().ok_or_else(|| list.to_string())
    })
    .await;
    assert_eq!((&second["attempts_total"], &second["replays"]), (&json!(2), &json!(1)));
    assert_eq!((second["history"].as_array().map(Vec::len), &second["history"][0]["offset"]), (Some(1), &first["offset"]));
    let shown = mesh.meshctl(&["dlq", "show", "0:1"]);
    assert!(
        shown.contains("\n  1. ") && shown.contains("; replayed ") && shown.contains("\n  2. ") && !shown.contains("\n  3. "),
        "{shown}"
    );
    let refused = dlq(&mesh, &["replay", "0:0", "0:1", "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("dead letter 0:0 was replayed at ") && text(&refused.stdout).contains("0:1 -> orders.created"));

    // repaired, it is handled
    assert!(mesh.meshctl(&["dlq", "replay", "0:1", "--patch", PATCH]).contains("0:1 -> orders.created"));
    opened(&mesh, 0).await;
    let path = story();
    let trace = mesh.trace(&trace_id, |trace| lacks(trace, &path)).await;
    let found = trace.find_path(&path).unwrap();
    for replay in [2, 5] {
        let linked: Vec<&str> = found[replay].links.iter().map(|link| link.span.as_str()).collect();
        assert_eq!(linked, [found[replay - 1].id.as_str()], "a replay has a link to the letter's span");
    }
    eventually(|| async { if mails(&mesh).len() == before + 1 { Ok(()) } else { Err("no mail".to_owned()) } }).await;
}

#[tokio::test]
async fn a_record_that_is_delivered_again_is_in_one_trace() {
    let mesh = Mesh::start(&[]);
    Truth::of(&mesh).await.settled(&mesh).await;
    let (order, (context, trace_id)) = ("019a0000-0000-7000-8000-000000000002", traceparent(true));
    mesh.meshctl(&["stop", "redis"]);
    send(&mesh, order, &placed(order, false), &context).await;
    let delivered = |outcome| [span("dispatch", "send analytics"), processed("analytics", "process analytics", outcome)];
    mesh.trace(&trace_id, |trace| lacks(trace, &delivered("postponed"))).await;
    mesh.meshctl(&["start", "redis"]);
    let trace = mesh.trace(&trace_id, |trace| lacks(trace, &delivered("processed"))).await;
    let sender = trace.find_path(&delivered("processed")).unwrap()[0].id.clone();
    let postponed = trace.find_path(&delivered("postponed")).unwrap()[0].id.clone();
    assert_eq!(sender, postponed, "each delivery is a child of the span that sent the record");
    assert_eq!(list(&mesh, &[])["counts"]["open"], 0);
}

#[tokio::test]
async fn what_cannot_be_repaired_is_purged_and_bad_calls_are_told_by_their_exit_codes() {
    let mesh = Mesh::start_with(&["--no-demo-order"], &[]);
    let (context, _) = traceparent(true);
    for key in ["a", "b", "c"] {
        send(&mesh, key, "no JSON", &context).await;
    }
    opened(&mesh, 3).await;
    for (wrong, named) in [
        (&["list", "--since", "yesterday"][..], "--since"),
        (&["list", "--state", "closed"], "replayed"),
        (&["list", "--limit", "0"], "--limit"),
        (&["list", "--error-type", "bad"], "transient"),
        (&["list", "--brokers", "nowhere"], "HOST:PORT"),
        (&["show", "first"], "PARTITION:OFFSET"),
        (&["replay"], "--all"),
        (&["replay", "0:0", "--all"], "exclude"),
        (&["replay", "0:0", "--patch", "[]"], "JSON object"),
        (&["purge", "--all"], "--yes"),
        (&["purge", "--yes"], "--all"),
    ] {
        let refused = dlq(&mesh, wrong);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), String::new()), "{wrong:?}");
        assert!(text(&refused.stderr).contains(named), "{wrong:?}: {}", text(&refused.stderr));
    }
    for unknown in [&["show", "0:99"][..], &["replay", "0:0", "0:99"], &["purge", "0:99", "--yes"]] {
        let refused = dlq(&mesh, unknown);
        assert_eq!(refused.status.code(), Some(1), "{unknown:?}");
        assert!(text(&refused.stderr).contains("there is no dead letter 0:99"), "{unknown:?}: {}", text(&refused.stderr));
    }
    let unpatched = dlq(&mesh, &["replay", "--all", "--patch", PATCH, "--json"]);
    assert_eq!(unpatched.status.code(), Some(1));
    let outcome: Value = serde_json::from_slice(&unpatched.stdout).unwrap();
    assert_eq!((outcome["replayed"].as_array().map(Vec::len), outcome["failed"].as_array().map(Vec::len)), (Some(0), Some(3)));

    assert!(mesh.meshctl(&["dlq", "purge", "--key", "b", "--dry-run"]).contains("1 letter would be purged; nothing was done"));
    assert_eq!(list(&mesh, &[])["counts"]["open"], 3);
    let purged = mesh.meshctl(&["dlq", "purge", "--key", "b", "--yes"]);
    assert!(purged.starts_with("1 letter purged;"), "{purged}");
    assert!(mesh.meshctl(&["dlq", "purge", "--all", "--yes"]).starts_with("2 letters purged; "));
    assert_eq!(list(&mesh, &["--state", "all"])["counts"], json!({ "open": 0, "replayed": 0, "purged": 0 }));

    let begun = Instant::now();
    let away = dlq(&mesh, &["list", "--brokers", "127.0.0.1:1"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(text(&away.stderr).contains("kafka at 127.0.0.1:1 does not answer"), "{}", text(&away.stderr));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let other = mesh.endpoint("kafka");
    assert_eq!(list(&mesh, &["--brokers", &other])["counts"]["open"], 0);
    let suffixed = dlq(&mesh, &["list", "--brokers", &other, "--topic-suffix", ".other"]);
    assert!(text(&suffixed.stderr).contains("has no topic dlq.other"), "{}", text(&suffixed.stderr));
    mesh.meshctl(&["stop", "kafka"]);
    let stopped = dlq(&mesh, &["list"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(text(&stopped.stderr).contains("kafka does not run"), "{}", text(&stopped.stderr));
}

#[tokio::test]
async fn the_commands_of_the_page_about_dead_letters_work() {
    let mesh = Mesh::start(&[]);
    let (order, (context, _)) = ("019a0000-0000-7000-8000-000000000003", traceparent(true));
    send(&mesh, order, &placed(order, true), &context).await;
    opened(&mesh, 1).await;
    let commands = commands(include_str!("../../../docs/dlq.md"));
    assert_eq!(commands.len(), 8, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
}
