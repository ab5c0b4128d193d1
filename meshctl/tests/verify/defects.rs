//! Every kind of defect, made on purpose, is reported by its name and at its place.

use meshctl::backend::RunningBackend;

use crate::{
    command::{Ended, jaeger, verify},
    story::{MS, Story, backend, hex, order, text},
};

/// Keeps a broken trace and checks it.
async fn broken(break_it: impl FnOnce(&mut Story)) -> Ended {
    let backend = backend().await;
    let mut story = order(7);
    break_it(&mut story);
    backend.store.insert(story.batches());
    check(&backend, "7").await
}

async fn check(backend: &RunningBackend, id: &str) -> Ended {
    verify(&["--trace", id, "--json", &jaeger(backend)]).await
}

/// The check has failed, for these reasons and no others.
#[track_caller]
fn reported(ended: &Ended, defects: &[&str]) {
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    let (mut found, mut expected) = (ended.defects(), defects.iter().map(ToString::to_string).collect::<Vec<_>>());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_whole_trace_has_none() {
    let backend = backend().await;
    backend.store.insert(order(7).batches());
    let ended = check(&backend, "7").await;
    assert_eq!((ended.code(), ended.defects().len()), (0, 0), "{}", ended.stdout);
    assert_eq!(ended.json()["complete_percent"], 100.0);
}

#[tokio::test]
async fn one_kind_of_span_dropped() {
    let ended = broken(|story| {
        story.drop(|made| made.span.attributes.contains(&text("db.system.name", "redis")));
    })
    .await;
    reported(
        &ended,
        &[
            "missing span: auth.validate → auth.session (auth client Redis)",
            "missing span: catalog.products → catalog.read (catalog-cache client Redis)",
            "missing span: analytics.process → analytics.leaderboard (analytics client Redis)",
        ],
    );
    assert_eq!(ended.json()["totals"]["missing span"], 3);
}

#[tokio::test]
async fn traceparent_stripped_at_one_hop() {
    let backend = backend().await;
    let mut story = order(7);
    let lost = story.below("orders.place");
    for made in story.spans.iter_mut().filter(|made| lost.contains(&made.node)) {
        made.span.trace_id = 8_u128.to_be_bytes().to_vec();
    }
    story.get("orders.place").parent_span_id.clear();
    backend.store.insert(story.batches());

    let ended = check(&backend, "7").await;
    assert_eq!(ended.code(), 1);
    let found = ended.defects();
    assert_eq!(found.len(), lost.len(), "the whole subtree, and nothing else: {found:#?}");
    assert_eq!(found.iter().filter(|defect| *defect == "missing span: gateway.place → orders.place (orders server gRPC)").count(), 1);
    let cut = found.iter().filter(|defect| defect.ends_with("cut off at gateway.place → orders.place"));
    assert_eq!(cut.count(), lost.len() - 1);
    // what was cut off is a trace of its own, which lacks the door
    let rest = check(&backend, "8").await.defects();
    assert!(rest.contains(&"missing span: caller → gateway.orders (gateway server HTTP)".to_owned()), "{rest:#?}");
    assert!(rest.contains(&"wrong parent: orders.place: under nothing: it is a root instead of gateway.place".to_owned()), "{rest:#?}");
}

#[tokio::test]
async fn two_parents_swapped() {
    let ended = broken(|story| {
        let (notify, count) = (story.get("dispatch.notify").span_id.clone(), story.get("dispatch.count").span_id.clone());
        story.get("notification.process").parent_span_id = count;
        story.get("analytics.process").parent_span_id = notify;
    })
    .await;
    reported(
        &ended,
        &[
            "wrong parent: notification.process: under dispatch.count instead of dispatch.notify",
            "wrong parent: analytics.process: under dispatch.notify instead of dispatch.count",
        ],
    );
}

#[tokio::test]
async fn attributes_truncated_and_left_out() {
    let ended = broken(|story| {
        story.set("orders.send", "messaging.kafka.message.key", "01a1fd7d-15ab-7043-9c8f-0c89");
        story.set("analytics.sales", "db.query.text", "INS");
        story.get("auth.session").attributes.retain(|attribute| attribute.key != "server.address");
        story.set("gateway.orders", "url.scheme", "");
    })
    .await;
    reported(
        &ended,
        &[
            "bad value: orders.send: messaging.kafka.message.key",
            "bad value: analytics.sales: db.query.text",
            "missing attribute: auth.session: server.address",
            "missing attribute: gateway.orders: url.scheme",
        ],
    );
    let sentences = ended.json()["defects"].to_string();
    assert!(sentences.contains(r#"is \"01a1fd7d-15ab-7043-9c8f-0c89\", which is not [0-9a-f]{8}"#), "{sentences}");
}

#[tokio::test]
async fn spans_too_many() {
    let ended = broken(|story| {
        let mut again = story.spans.iter().find(|made| made.node == "notification.process").unwrap().clone();
        again.span.span_id = 900_u64.to_be_bytes().to_vec();
        let mut unknown = again.clone();
        unknown.span.span_id = 901_u64.to_be_bytes().to_vec();
        (unknown.service, unknown.span.name) = ("stranger".to_owned(), "work".to_owned());
        story.spans.extend([again, unknown]);
    })
    .await;
    reported(&ended, &["surplus span: notification.process", "surplus span: stranger consumer \"work\""]);
}

#[tokio::test]
async fn a_parent_that_is_not_there() {
    let ended = broken(|story| story.drop(|made| made.node == "dispatch.process")).await;
    reported(
        &ended,
        &["missing span: orders.send → dispatch.process (dispatch consumer Kafka)", "orphan: dispatch.notify", "orphan: dispatch.count"],
    );
}

#[tokio::test]
async fn a_clock_that_is_late() {
    let ended = broken(|story| {
        for made in story.spans.iter_mut().filter(|made| made.service == "notification") {
            made.span.start_time_unix_nano -= 10 * MS;
        }
    })
    .await;
    // within the service, and between it and others by less than the tolerance, all is in order
    reported(&ended, &["clock disorder: notification.process"]);
    assert!(ended.json()["defects"][0]["sentence"].as_str().unwrap().contains("starts 9.00 ms before its parent"), "{}", ended.stdout);
}

#[tokio::test]
async fn more_than_one_root() {
    let ended = broken(|story| {
        story.get("gateway.orders").parent_span_id.clear();
        story.get("dispatch.process").parent_span_id.clear();
    })
    .await;
    reported(&ended, &["wrong parent: dispatch.process: under nothing: it is a root instead of orders.send", "several roots: the trace"]);
}

#[tokio::test]
async fn a_trace_that_is_not_there_at_all() {
    let backend = backend().await;
    let ended = check(&backend, "7").await;
    assert_eq!((ended.code(), &ended.json()["traces"]["absent"]), (1, &serde_json::json!(1)));
    assert_eq!(ended.defects().len(), order(7).spans.len());
}

#[tokio::test]
async fn the_tree_shows_what_is_wrong_in_its_place() {
    let backend = backend().await;
    let mut story = order(7);
    story.drop(|made| ["catalog.products", "catalog.read"].contains(&made.node.as_str()));
    story.get("notification.process").parent_span_id = hex(&format!("{:016x}", 1));
    backend.store.insert(story.batches());
    let ended = verify(&["--explain", "7", &jaeger(&backend)]).await;
    assert_eq!(ended.code(), 1);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}\n{}", ended.stdout));
    let client = at("orders gRPC orders.products");
    assert!(lines[client].starts_with('✓'));
    assert!(lines[client + 1].starts_with('−') && lines[client + 1].contains("└ catalog.products (catalog-cache server gRPC): missing"));
    assert!(lines[client + 2].contains("└ catalog.read (catalog-cache client Redis): missing"), "{}", ended.stdout);
    let moved = at("notification Kafka notification.process");
    assert!(lines[moved].starts_with('✗') && lines[moved + 1].contains("under gateway.orders instead of dispatch.notify"));
    assert!(ended.stdout.trim_end().ends_with("3 defects"), "{}", ended.stdout);
}
