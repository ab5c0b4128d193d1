//! `up --telemetry`: the mode holds for as long as the mesh runs. With `ebpf`, OBI starts before the services and has to be
//! seen at work. A script stands in for OBI, and a folder for a kernel that could run it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use meshctl::trace::{Kind, SpanFilter, Trace};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    lifecycle::is_gone,
    running::{Mesh, success, traceparent},
};

/// A machine on which OBI can run.
fn machine() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ("proc/kallsyms", "0000000000000000 T register_kprobe\n"),
        ("proc/self/status", "CapEff:\t000001ffffffffff\n"),
        ("sys/kernel/btf/vmlinux", ""),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn fake() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mesh/obi/fake.sh")
}

/// `up` with these arguments, on that machine.
fn up(mesh: &Mesh, machine: &TempDir, arguments: &[&str]) -> Command {
    let mut up = mesh.command(&["up", "--detach", "--yes"]);
    up.args(arguments).env("OBI", fake()).env("MESH_DOCTOR_ROOT", machine.path());
    up
}

fn status(mesh: &Mesh) -> Value {
    serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap()
}

fn obi(mesh: &Mesh) -> Value {
    let status = status(mesh);
    status["infrastructure"].as_array().unwrap().iter().find(|process| process["name"] == "obi").cloned().unwrap_or(Value::Null)
}

fn services(mesh: &Mesh) -> Vec<Value> {
    status(mesh)["services"].as_array().unwrap().iter().map(|service| service["pid"].clone()).collect()
}

fn recorded(mesh: &Mesh, file: &str) -> String {
    std::fs::read_to_string(mesh.home().join(file)).unwrap()
}

/// The variable as the running process has it, not as a command would set it now.
fn variable(mesh: &Mesh, service: &str, name: &str) -> String {
    let pid = mesh.service(service)["pid"].clone();
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let found = environment.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{service} has no {name}")).to_owned()
}

/// When it started, in clock ticks since boot: field 22 of `proc_pid_stat(5)`.
fn started(pid: &Value) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap()
}

fn mode(mesh: &Mesh, service: &str) -> String {
    variable(mesh, service, "THROUGHLINE_TELEMETRY__MODE")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn obi_starts_before_the_services_is_seen_at_work_and_leaves_with_its_mode() {
    let (mesh, machine) = (Mesh::start(&[]), machine());
    let before = services(&mesh);
    success(&up(&mesh, &machine, &["--telemetry", "ebpf", "--no-demo-order"]).output().unwrap());

    // what it was told, and that it came before the services
    let told = recorded(&mesh, "fake-obi.env");
    let otlp = told.lines().find_map(|line| line.strip_prefix("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=")).unwrap();
    assert!(otlp.starts_with("http://127.0.0.1:") && otlp.ends_with("/v1/traces"), "{otlp}");
    let settings = told.lines().find_map(|line| line.strip_prefix("OTEL_EBPF_CONFIG_PATH=")).unwrap();
    assert!(settings.ends_with("observability/obi/obi.yaml") && Path::new(settings).is_file(), "{settings}");
    let gateway = mesh.endpoint("gateway");
    let ports = told.lines().find_map(|line| line.strip_prefix("THROUGHLINE_OBI_PORTS=")).unwrap();
    assert!(ports.split(',').any(|port| gateway.ends_with(&format!(":{port}"))), "{gateway} is not in {ports}");

    // it is a process of the mesh
    let running = obi(&mesh);
    for service in services(&mesh) {
        assert!(started(&running["pid"]) <= started(&service), "process {service} ran before OBI did");
    }
    assert_eq!(running["state"], "ready", "{running}");
    assert!(mesh.meshctl(&["logs", "obi"]).contains(&format!("pid {}", running["pid"])));
    let requests = mesh.meshctl(&["logs", "obi-probe"]);
    assert!(requests.contains("seen gateway after") && requests.contains("seen analytics after"), "{requests}");
    assert_eq!(status(&mesh)["telemetry"], "ebpf");

    // the services make the spans of Kafka and no others, under the caller's own
    assert!(before.iter().all(|pid| !services(&mesh).contains(pid)), "a service was not started anew");
    assert_eq!(variable(&mesh, "gateway", "THROUGHLINE_RUNTIME__MODEL"), "auto");
    let (caller, trace_id) = traceparent(true);
    let order = mesh.place(&mesh.token().await, &mesh.products(2).await, &[("traceparent", &caller)]).await;
    assert_eq!(order.status(), StatusCode::CREATED);
    let trace = mesh.trace(&trace_id, lacks_kafka).await;
    let made: Vec<Kind> =
        trace.spans().iter().map(|span| span.kind).filter(|kind| !matches!(kind, Kind::Producer | Kind::Consumer)).collect();
    assert_eq!(made, [], "spans besides those of Kafka");
    let span = caller.split('-').nth(2).unwrap();
    let first = trace.find(&SpanFilter::service("orders").kind(Kind::Producer));
    assert_eq!(first.first().unwrap().parent.as_deref(), Some(span));

    // the mode holds until something else is asked for
    mesh.meshctl(&["restart", "orders"]);
    assert_eq!(mode(&mesh, "orders"), "ebpf");
    success(&up(&mesh, &machine, &["--no-demo-order"]).output().unwrap());
    assert_eq!((obi(&mesh)["pid"].clone(), mode(&mesh, "orders")), (running["pid"].clone(), "ebpf".to_owned()));

    success(&mesh.command(&["up", "--detach", "--telemetry", "sdk"]).output().unwrap());
    assert_eq!((obi(&mesh), mode(&mesh, "orders")), (Value::Null, "sdk".to_owned()));
    assert!(is_gone(running["pid"].as_i64().unwrap()), "OBI still runs");
}

fn lacks_kafka(trace: &Trace) -> Vec<String> {
    let ends = ["notification", "analytics"].into_iter();
    let missing = ends.filter(|service| trace.find(&SpanFilter::service(service).kind(Kind::Consumer)).is_empty());
    missing.map(|service| format!("a Kafka span of {service}")).collect()
}

#[test]
fn an_obi_that_does_not_see_a_service_or_dies_is_told_with_its_last_lines() {
    let (mesh, machine) = (Mesh::start(&[]), machine());
    std::fs::write(mesh.home().join("fake-obi.blind-to-orders"), "").unwrap();
    let ebpf = ["--telemetry", "ebpf", "--no-demo-order"];
    let blind = up(&mesh, &machine, &ebpf).env("MESH_DEADLINES__START", "20").output().unwrap();
    assert_eq!(blind.status.code(), Some(1), "{blind:?}");
    for part in ["no span of orders has arrived within 20 s", "fake obi: 0 arguments", "obi-probe.log"] {
        assert!(stderr(&blind).contains(part), "{part:?} is not in {}", stderr(&blind));
    }
    assert_eq!(obi(&mesh)["state"], "unready");
    mesh.meshctl(&["stop", "obi"]);

    let dies = up(&mesh, &machine, &ebpf).env("OBI", "/bin/false").output().unwrap();
    assert_eq!(dies.status.code(), Some(1), "{dies:?}");
    assert!(stderr(&dies).contains("obi ended"), "{}", stderr(&dies));
}

#[test]
fn off_places_an_order_without_a_trace_and_stays_off() {
    let mesh = Mesh::start(&[]);
    let off = mesh.command(&["up", "--detach", "--telemetry", "off"]).output().unwrap();
    success(&off);
    assert!(stderr(&off).contains("telemetry is off, so it has no trace"), "{}", stderr(&off));
    mesh.meshctl(&["restart", "gateway"]);
    assert_eq!((mode(&mesh, "gateway"), mode(&mesh, "analytics")), ("off".to_owned(), "off".to_owned()));
    let refused = mesh.command(&["start", "obi"]).output().unwrap();
    assert!(!refused.status.success() && stderr(&refused).contains("./mesh up --telemetry ebpf"), "{}", stderr(&refused));
}
