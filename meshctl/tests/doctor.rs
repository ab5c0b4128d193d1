//! `doctor` and the refusal of `up --telemetry ebpf`: what is missing is told with the way out, before anything starts.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const PORTS: [&str; 19] = [
    "gateway",
    "gateway_admin",
    "auth",
    "auth_admin",
    "catalog_cache",
    "catalog_cache_admin",
    "orders",
    "orders_admin",
    "dispatch_admin",
    "notification_admin",
    "analytics_admin",
    "postgres",
    "redis",
    "kafka",
    "kafka_controller",
    "traces",
    "otlp_grpc",
    "otlp_http",
    "prometheus",
];

/// A machine as its files tell of it, and a home of a mesh that was never started.
struct Machine {
    root: TempDir,
    home: TempDir,
}

impl Machine {
    /// One on which everything can run.
    fn capable() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap(), home: tempfile::tempdir().unwrap() };
        machine.has("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        machine.has("proc/kallsyms", "0000000000000000 T register_kprobe\n");
        machine.has("proc/self/status", "CapEff:\t000001ffffffffff\n");
        machine.has("proc/meminfo", "MemAvailable: 8000000 kB\n");
        machine.has("sys/kernel/btf/vmlinux", "");
        machine
    }

    fn has(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Free ports, so that a mesh with the default ones beside us changes nothing.
    fn settings(&self) -> String {
        let sockets = PORTS.map(|key| (key, TcpListener::bind("127.0.0.1:0").unwrap()));
        let lines = sockets.iter().map(|(key, socket)| format!("{key} = {}\n", socket.local_addr().unwrap().port()));
        let file = self.home.path().join("mesh.toml");
        std::fs::write(&file, format!("[ports]\n{}", lines.collect::<String>())).unwrap();
        file.display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.args(args).arg("--home").arg(self.home.path()).args(["--config", &self.settings()]).stdin(Stdio::null());
        command.env("MESH_DOCTOR_ROOT", self.root.path()).env("OBI", "/bin/true");
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn check(output: &Output, name: &str) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name} in {report:#}")).clone()
}

#[test]
fn a_capable_machine_passes_for_both_modes() {
    let machine = Machine::capable();
    let output = machine.command(&["doctor", "--telemetry", "ebpf", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["modes"], json!({ "sdk": true, "ebpf": true, "off": true }));
    assert_eq!(check(&output, "ports")["found"], "19 free");
    assert_eq!(check(&output, "kernel")["found"], "6.1.0-18-amd64");
    assert!(check(&output, "Postgres")["found"].as_str().unwrap().contains("PostgreSQL"), "{report:#}");
}

#[test]
fn a_kernel_without_kprobes_can_run_sdk_only() {
    let machine = Machine::capable();
    machine.has("proc/kallsyms", "0000000000000000 T _text\n");
    let asked = machine.command(&["doctor", "--telemetry", "ebpf", "--json"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(check(&asked, "kprobes")["way_out"].as_str().unwrap().contains("CONFIG_KPROBES"));
    let plain = machine.command(&["doctor"]).output().unwrap();
    let text = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.status.success(), "{text}");
    for part in
        ["✗ kprobes        this kernel has none  → ", "telemetry sdk, off: can run here", "telemetry ebpf: cannot run here: kprobes"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn a_taken_port_is_told_with_its_holder_and_fails() {
    let machine = Machine::capable();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let output = machine.command(&["doctor", "--json"]).env("MESH_PORTS__REDIS", port.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let check = check(&output, &format!("port {port}"));
    assert!(check["found"].as_str().unwrap().contains(&format!("(pid {})", std::process::id())), "{check}");
    assert!(check["way_out"].as_str().unwrap().contains("MESH_PORTS__REDIS"), "{check}");
}

#[test]
fn a_redis_that_is_too_old_is_told_with_the_way_out() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::capable();
    machine.has("bin/redis-server", "#!/bin/sh\necho 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1'\n");
    let bin = machine.root.path().join("bin");
    std::fs::set_permissions(bin.join("redis-server"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = machine.command(&["doctor", "--json"]).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let check = check(&output, "Redis ≥6.2");
    assert_eq!(check["found"], "Redis server v=6.0.16 will not do", "{check}");
    assert!(check["way_out"].as_str().unwrap().contains("packages.redis.io"), "{check}");
}

#[test]
fn up_with_ebpf_says_all_that_is_missing_and_starts_nothing() {
    let machine = Machine::capable();
    std::fs::remove_dir_all(machine.root.path()).unwrap();
    let mut up = machine.command(&["up", "--detach", "--telemetry", "ebpf"]);
    let output = up.env("PATH", "/nonexistent").env_remove("OBI").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = stderr(&output);
    for part in
        ["kernel: ", "BTF: ", "kprobes: ", "OBI: neither a program `obi` nor Docker in PATH", "rights: no ", "./mesh up --telemetry sdk"]
    {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert!(!Path::new(&machine.home.path().join("state.json")).exists(), "something was started");
}

#[test]
fn an_obi_that_is_not_there_is_told_by_its_name() {
    let machine = Machine::capable();
    let output = machine.command(&["up", "--detach", "--telemetry", "ebpf"]).env("OBI", "/nonexistent/obi").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("OBI: $OBI is /nonexistent/obi, and there is no such file"), "{}", stderr(&output));
}
