//! What the launcher promises, on real servers: it keeps what runs, starts what is missing, and stops what it started
//! and nothing else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A home of its own; whatever runs in it is stopped at the end of the test, passed or failed.
struct Mesh {
    home: TempDir,
}

impl Mesh {
    fn new() -> Self {
        Self { home: tempfile::Builder::new().prefix("launcher").tempdir().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.args(args).arg("--home").arg(self.home.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESH_")) {
            command.env_remove(name);
        }
        // a mesh of these tests has what every machine has
        command.env("MESH_PROMETHEUS__MODE", "off");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn up(&self) -> Value {
        json_of(&self.run(&["up", "--infra-only", "--detach", "--ephemeral-ports", "--json"]))
    }

    fn status(&self) -> Value {
        json_of(&self.run(&["status", "--json"]))
    }

    fn recorded(&self) -> Value {
        std::fs::read(self.home.path().join("state.json")).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
    }

    /// Every process, whoever its parent is, that has our home on its command line.
    fn processes(&self) -> Vec<String> {
        let home = self.home.path().display().to_string();
        let command_lines = std::fs::read_dir("/proc").unwrap().flatten();
        let command_lines = command_lines.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
        command_lines.filter(|line| line.contains(&home)).collect()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
    }
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Name and one field of every server.
fn servers(status: &Value, field: &str) -> BTreeMap<String, Value> {
    let servers = status["infrastructure"].as_array().unwrap();
    servers.iter().map(|server| (server["name"].as_str().unwrap().to_owned(), server[field].clone())).collect()
}

fn all(names: &[&str], value: &str) -> BTreeMap<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), json!(value))).collect()
}

const SERVERS: [&str; 4] = ["postgres", "redis", "kafka", "backend"];

fn redis(status: &Value, command: &str) -> String {
    let address = status["endpoints"]["redis"].as_str().unwrap().trim_start_matches("redis://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(command.as_bytes()).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn bystander() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn all_mistakes_in_the_settings_are_told_at_once_with_exit_code_2() {
    let mesh = Mesh::new();
    let file = mesh.home.path().join("mine.toml");
    std::fs::write(&file, "[ports]\ngateway = 99999\nmain = 1\n").unwrap();
    let output = mesh.command(&["status", "--config", file.to_str().unwrap()]).env("MESH_DEADLINES__STOP", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    for part in ["ports.gateway = 99999: a port, 1 to 65535", "ports.main", "MESH_DEADLINES__STOP = soon: a whole number"] {
        assert!(stderr(&output).contains(part), "{part:?} is missing in {}", stderr(&output));
    }
}

#[test]
fn an_unknown_service_is_bad_usage_and_the_known_ones_are_listed() {
    let output = Mesh::new().run(&["restart", "ordres"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("orders"), "{}", stderr(&output));
}

#[test]
fn a_taken_port_is_told_before_anything_starts() {
    let mesh = Mesh::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let up = mesh.command(&["up", "--infra-only", "--detach", "--json"]).env("MESH_PORTS__REDIS", port.to_string()).output().unwrap();
    assert_eq!(up.status.code(), Some(1), "{up:?}");
    for part in [format!("port {port} for redis"), format!("(pid {})", std::process::id()), "MESH_PORTS__REDIS".to_owned()] {
        assert!(stderr(&up).contains(&part), "{part:?} is missing in {}", stderr(&up));
    }
    let document: Value = serde_json::from_slice(&up.stdout).unwrap();
    assert!(document["error"].as_str().unwrap().contains(&port.to_string()));
    assert_eq!(mesh.recorded()["processes"], json!({}));
    assert!(mesh.processes().is_empty());
}

#[test]
fn a_mesh_never_started_has_nothing_to_show_or_stop() {
    let mesh = Mesh::new();
    let status = mesh.status();
    assert_eq!(status["endpoints"], json!({}));
    assert!(status.get("demo").is_none());
    assert_eq!(servers(&status, "state"), all(&SERVERS, "stopped"));
    assert_eq!(json_of(&mesh.run(&["down", "--json"])), json!({ "stopped": [] }));
    let start = mesh.run(&["start", "orders"]);
    assert_eq!(start.status.code(), Some(1));
    assert!(stderr(&start).contains("./mesh up"), "{}", stderr(&start));
}

#[test]
fn up_keeps_what_runs_starts_what_is_missing_and_loses_no_data() {
    let mesh = Mesh::new();
    let first = mesh.up();
    assert_eq!(servers(&first, "state"), all(&SERVERS, "ready"));
    assert_eq!(redis(&first, "SET kept yes\r\n"), "+OK\r\n");

    let second = mesh.up();
    assert_eq!((servers(&second, "pid"), &second["endpoints"]), (servers(&first, "pid"), &first["endpoints"]));

    json_of(&mesh.run(&["kill", "postgres", "--json"]));
    assert_eq!(servers(&mesh.status(), "state")["postgres"], "died");
    let third = mesh.up();
    let (before, after) = (servers(&second, "pid"), servers(&third, "pid"));
    assert_eq!(servers(&third, "state"), all(&SERVERS, "ready"));
    assert_ne!(before["postgres"], after["postgres"]);
    assert_eq!((&before["redis"], &before["kafka"]), (&after["redis"], &after["kafka"]));

    json_of(&mesh.run(&["down", "--json"]));
    assert_eq!(redis(&mesh.up(), "GET kept\r\n"), "$3\r\nyes\r\n");
}

#[test]
fn down_leaves_nothing_of_its_own_and_touches_nobody_else() {
    let mesh = Mesh::new();
    mesh.up();
    for name in ["postgres", "kafka"] {
        json_of(&mesh.run(&["kill", name, "--signal", "STOP", "--json"]));
    }
    let states = servers(&mesh.status(), "state");
    assert_eq!((&states["postgres"], &states["kafka"]), (&json!("paused"), &json!("paused")));

    // A pid that was recorded once and belongs to somebody else by now: same pid, another start time.
    let mut stranger = bystander();
    let mut state = mesh.recorded();
    let mut orders = state["processes"]["redis"].clone();
    orders["pid"] = json!(stranger.id());
    orders["start_time"] = json!(1);
    state["processes"]["orders"] = orders;
    std::fs::write(mesh.home.path().join("state.json"), state.to_string()).unwrap();

    let stopped = json_of(&mesh.run(&["down", "--json"]));
    let how: BTreeMap<&str, &str> =
        stopped["stopped"].as_array().unwrap().iter().map(|one| (one["name"].as_str().unwrap(), one["how"].as_str().unwrap())).collect();
    let expected = [("backend", "stopped"), ("kafka", "stopped"), ("orders", "gone"), ("postgres", "stopped"), ("redis", "stopped")];
    assert_eq!(how, BTreeMap::from(expected));
    assert_eq!(mesh.processes(), Vec::<String>::new());
    assert_eq!(mesh.recorded()["processes"], json!({}));
    assert!(stranger.try_wait().unwrap().is_none(), "down killed a process that was not its own");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn two_starts_at_once_start_everything_once_and_two_homes_share_nothing() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    let start = |mesh: &Mesh| {
        let mut command = mesh.command(&["up", "--infra-only", "--detach", "--ephemeral-ports", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let started: Vec<Child> = [&mesh, &mesh, &other].into_iter().map(start).collect();
    let status: Vec<Value> = started.into_iter().map(|child| json_of(&child.wait_with_output().unwrap())).collect();
    assert_eq!(servers(&status[0], "pid"), servers(&status[1], "pid"));
    assert_eq!(status[0]["endpoints"], status[1]["endpoints"]);

    json_of(&mesh.run(&["down", "--json"]));
    assert_eq!(servers(&other.status(), "state"), all(&SERVERS, "ready"));
    assert_eq!(servers(&other.status(), "pid"), servers(&status[2], "pid"));
}

#[test]
fn in_the_foreground_a_death_is_reported_and_an_interrupt_stops_everything() {
    let mesh = Mesh::new();
    let log = mesh.home.path().join("up.txt");
    let output = std::fs::File::create(&log).unwrap();
    let mut up = mesh.command(&["up", "--infra-only", "--ephemeral-ports"]).stdout(Stdio::null()).stderr(output).spawn().unwrap();
    wait_for(&log, "Ctrl-C stops the mesh");
    json_of(&mesh.run(&["kill", "redis", "--json"]));
    wait_for(&log, "redis died");
    json_of(&mesh.run(&["start", "redis", "--json"]));
    wait_for(&log, "redis runs again");
    assert!(Command::new("kill").args(["-INT", &up.id().to_string()]).status().unwrap().success());
    assert!(up.wait().unwrap().success());
    assert_eq!(mesh.processes(), Vec::<String>::new());
}

fn wait_for(file: &Path, text: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    while !std::fs::read_to_string(file).unwrap_or_default().contains(text) {
        assert!(Instant::now() < end, "no {text:?} in {}", std::fs::read_to_string(file).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn reset_asks_and_then_wipes_data_and_secrets() {
    let mesh = Mesh::new();
    mesh.up();
    let unasked = mesh.run(&["reset"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert_eq!(servers(&mesh.status(), "state"), all(&SERVERS, "ready"));
    json_of(&mesh.run(&["reset", "--yes", "--json"]));
    assert!(mesh.processes().is_empty());
    for gone in ["postgres", "redis", "kafka", "prometheus", "logs", "mail", "secrets.json", "state.json"] {
        assert!(!mesh.home.path().join(gone).exists(), "{gone} is still there");
    }
}
