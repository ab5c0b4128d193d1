//! Promise A: up, down and up again; nothing is left behind.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    running::{Mesh, success},
    truth::Truth,
};

/// With everything built, from stopped to the printed trace.
const SECOND_START: Duration = Duration::from_secs(20);

fn pids(status: &Value) -> Vec<i64> {
    let groups = ["services", "infrastructure"].map(|group| status[group].as_array().cloned().unwrap_or_default());
    groups.concat().iter().filter_map(|process| process["pid"].as_i64()).collect()
}

/// Gone, or dead and waiting for its parent to take note.
pub(crate) fn is_gone(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

/// `gateway --probe`, as a container's health check calls it.
fn probe(environment: &BTreeMap<String, String>) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_meshctl")).with_file_name("gateway");
    Command::new(program).arg("--probe").envs(environment).output().unwrap()
}

#[test]
fn the_second_start_prints_a_trace_in_time_and_down_leaves_no_process() {
    let mesh = Mesh::start(&[]);
    let running: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    assert_eq!(pids(&running).len(), 11, "seven services, three servers and the backend: {running}");
    let environment: BTreeMap<String, String> = serde_json::from_str(&mesh.meshctl(&["env", "gateway", "--json"])).unwrap();
    assert_eq!(probe(&environment).status.code(), Some(0));
    mesh.meshctl(&["down"]);
    let refused = probe(&environment);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("gateway: "), "{refused:?}");
    for pid in pids(&running) {
        assert!(is_gone(pid), "{pid} still runs");
    }

    let begun = Instant::now();
    let output = mesh.command(&["up", "--detach", "--ephemeral-ports"]).output().unwrap();
    let (took, printed) = (begun.elapsed(), String::from_utf8(success(&output).to_vec()).unwrap());
    for part in ["gateway", "analytics", "notification", "Kafka", "Redis", "SQL", "gRPC", "HTTP", "TOKEN=", "curl"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(took <= SECOND_START, "the second start took {took:?}");

    let again: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    success(&mesh.command(&["up", "--detach"]).output().unwrap());
    let same: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    assert_eq!(pids(&again), pids(&same), "a third `up` starts nothing anew");
    mesh.meshctl(&["down"]);
    for pid in pids(&again) {
        assert!(is_gone(pid), "{pid} still runs");
    }
}

#[tokio::test]
async fn without_a_demo_order_the_demo_user_is_there_all_the_same() {
    let mesh = Mesh::start_with(&["--no-demo-order"], &[]);
    assert!(!mesh.token().await.is_empty());
    assert_eq!(Truth::of(&mesh).await.orders().await, 0);
}
