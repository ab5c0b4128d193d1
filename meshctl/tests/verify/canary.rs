//! `--watch`: what it exposes, and how it ends.

use std::{process::Stdio, sync::Arc, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    command::{command, home, jaeger},
    gateway::{Behaviour, Gateway},
    story::{backend, hex},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Asks the page of metrics until it holds all lines.
async fn exposes(url: &str, lines: &[&str]) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let page = reqwest::get(url).await.unwrap().text().await.unwrap();
        if lines.iter().all(|line| page.lines().any(|one| one == *line)) {
            return page;
        }
        assert!(Instant::now() < end, "{lines:#?} in\n{page}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Starts a canary and reads where its metrics are.
async fn start(gateway: &Gateway, backend: &str, home: &tempfile::TempDir) -> (Child, String, JoinSet<()>) {
    let gateway = gateway.options();
    let arguments = ["--watch", "--rate=20", "--deadline=1s", "--metrics-address=127.0.0.1:0", backend];
    let mut child = command(home, &arguments.into_iter().chain(gateway.iter().map(String::as_str)).collect::<Vec<_>>())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended"));
        if let Some(url) = line.strip_prefix("metrics  ") {
            break url.to_owned();
        }
    };
    // whoever writes to a pipe that nobody reads stands still
    let mut reading = JoinSet::new();
    reading.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, url, reading)
}

#[tokio::test]
async fn what_is_missing_and_misplaced_becomes_metrics_and_sigterm_ends_it_well() {
    let backend = Arc::new(backend().await);
    let behaviour = Behaviour {
        story: Box::new(|number, story| {
            if number == 0 {
                story.drop(|made| made.node == "auth.session");
                story.get("analytics.process").parent_span_id = hex(&format!("{:016x}", 1));
            }
        }),
        ..Behaviour::default()
    };
    let gateway = Gateway::start(&backend, behaviour).await;
    let home = home();
    let (mut child, url, _reading) = start(&gateway, &jaeger(&backend), &home).await;

    let page = exposes(
        &url,
        &[
            "throughline_verify_missing_spans_total{protocol=\"Redis\",edge=\"auth.validate → auth.session\"} 1",
            "throughline_verify_missing_spans_total{protocol=\"HTTP\",edge=\"caller → gateway.orders\"} 0",
            "throughline_verify_wrong_parents_total{protocol=\"Kafka\",edge=\"dispatch.count → analytics.process\"} 1",
            "throughline_verify_traces_total{result=\"incomplete\"} 1",
            "throughline_verify_complete_ratio{protocol=\"gRPC\",edge=\"gateway.place → orders.place\"} 1.0",
        ],
    )
    .await;
    assert!(page.contains("throughline_verify_orders_total{result=\"placed\"}"), "{page}");
    assert!(page.contains("throughline_verify_defects_total{defect=\"wrong parent\"} 1"), "{page}");
    assert!(page.contains("throughline_verify_ingest_delay_seconds_bucket{le=\"30.0\"}"), "{page}");
    let ratio = page
        .lines()
        .find_map(|line| line.strip_prefix("throughline_verify_complete_ratio{protocol=\"Redis\",edge=\"auth.validate → auth.session\"} "));
    let ratio: f64 = ratio.unwrap_or_else(|| panic!("{page}")).parse().unwrap();
    assert!((0.0..1.0).contains(&ratio), "one of the traces lacked it: {ratio}");

    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
