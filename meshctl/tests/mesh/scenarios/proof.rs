//! Healthy under load, on, its symptoms cross their thresholds, off, healthy again, and nothing is lost.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    running::{Mesh, success},
    traffic::{Answers, Traffic, Visit},
    truth::Truth,
};

/// How far back symptoms are looked for.
const WINDOW: Duration = Duration::from_secs(10);
/// Load before the first look: what is cold or new belongs to no scenario.
const WARM_UP: Duration = Duration::from_secs(15);
/// Until all symptoms are there.
const SEEN: Duration = Duration::from_mins(2);
/// By how much the times of alerting rules are shortened.
const FACTOR: &str = "60";
/// Until none is there any more.
const HEALTHY: Duration = Duration::from_secs(30);
/// How long it is left off for.
const LEFT_OFF: Duration = Duration::from_secs(20);
const STOCK: i64 = 1_000_000;

/// A scenario and the load under which it shows.
pub(super) struct Proof {
    name: &'static str,
    preparation: &'static [&'static str],
    mix: &'static [Visit],
    rate: u32,
    canary: bool,
}

impl Proof {
    /// `preparation` is a command of meshctl.
    pub(super) const fn of(name: &'static str, preparation: &'static [&'static str], mix: &'static [Visit], rate: u32) -> Self {
        Self { name, preparation, mix, rate, canary: false }
    }

    /// With `verify --watch` beside it.
    #[cfg(feature = "full")]
    pub(super) const fn with_canary(self) -> Self {
        Self { canary: true, ..self }
    }

    fn mesh(&self, canary: &str) -> Mesh {
        let rules = short_rules();
        let mesh = Mesh::start(&[
            ("MESH_PROMETHEUS__MODE", "on"),
            ("MESH_PROMETHEUS__RULES", rules.path().to_str().unwrap()),
            ("MESH_PROMETHEUS__SCRAPE_INTERVAL_MS", "500"),
            ("MESH_PROMETHEUS__CANARY", canary),
            // consumers tell of their lag as often as that
            ("MESH_ENV__ANALYTICS__THROUGHLINE_KAFKA__STATISTICS_INTERVAL_MS", "500"),
        ]);
        if !self.preparation.is_empty() {
            mesh.meshctl(self.preparation);
        }
        mesh
    }

    /// Its symptoms come and go with it.
    pub(super) async fn is_seen(&self) {
        self.run(true).await;
    }

    /// While it is off there is no symptom.
    #[cfg(feature = "full")]
    pub(super) async fn is_not_seen_while_off(&self) {
        self.run(false).await;
    }

    async fn run(&self, on: bool) {
        let (address, name) = (free_address(), self.name);
        let mesh = self.mesh(&address);
        let canary = self.canary.then(|| Canary::start(&mesh, &address));
        let traffic = Traffic::of(&mesh).await;
        let load = async {
            sleep(WARM_UP).await;
            healthy(&mesh, name, WARM_UP + HEALTHY).await;
            if on { comes_and_goes(&mesh, name).await } else { is_absent(&mesh, name).await }
        };
        let ((), answers) = traffic.during(self.mix, self.rate, load).await;
        drop(canary);
        settled(&mesh, &traffic, &answers).await;
    }
}

async fn comes_and_goes(mesh: &Mesh, name: &str) {
    let begun = Instant::now();
    mesh.meshctl(&["scenario", "on", name]);
    assert!(begun.elapsed() < Duration::from_secs(3), "services follow within two seconds, and the command takes its time");
    seen(mesh, name).await;
    mesh.meshctl(&["scenario", "off", name]);
    healthy(mesh, name, HEALTHY).await;
}

async fn is_absent(mesh: &Mesh, name: &str) {
    let end = Instant::now() + LEFT_OFF;
    while Instant::now() < end {
        let found = symptoms(mesh, name, &["--alerts"]);
        assert_eq!(present(&found), Vec::<String>::new(), "{name} is off: {found:#}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until no symptom is there.
async fn healthy(mesh: &Mesh, name: &str, limit: Duration) {
    until(mesh, name, limit, &[], |found| present(found).is_empty()).await;
}

/// Waits until every symptom is there, and every alert fires.
async fn seen(mesh: &Mesh, name: &str) {
    until(mesh, name, SEEN, &["--alerts"], |found| found["all_present"] == true).await;
}

async fn until(mesh: &Mesh, name: &str, limit: Duration, more: &[&str], is_so: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + limit;
    loop {
        let found = symptoms(mesh, name, more);
        if is_so(&found) {
            return;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {found:#}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// What `scenario check` finds. Its exit code says whether that is all.
fn symptoms(mesh: &Mesh, name: &str, more: &[&str]) -> Value {
    let window = format!("{}s", WINDOW.as_secs());
    let command = [&["scenario", "check", name, "--window", &window, "--json"], more].concat();
    let output = mesh.command(&command).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(i32::from(found["all_present"] != true)), "{found:#}");
    found
}

fn present(found: &Value) -> Vec<String> {
    let symptoms = found["symptoms"].as_array().unwrap().iter();
    symptoms.filter(|symptom| symptom["present"] == true).map(|symptom| symptom["says"].to_string()).collect()
}

/// Every order that was answered, and every other that was committed, has had all its effects, once.
async fn settled(mesh: &Mesh, traffic: &Traffic<'_>, answers: &Answers) {
    let truth = Truth::of(mesh).await;
    truth.settled(mesh).await;
    truth.agrees(mesh, STOCK).await;
    let placed = i64::try_from(traffic.placed()).unwrap();
    assert!(truth.orders().await > placed, "an order is lost: {placed} were answered, besides that of `up`; {answers:?}");
}

/// The repository's rules with short times.
fn short_rules() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new("python3");
    command.arg(root.join("observability/prometheus/shorten.py")).args(["--factor", FACTOR, "--output"]).arg(folder.path());
    success(&command.output().unwrap());
    folder
}

pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// `verify --watch`, ended when dropped.
pub(crate) struct Canary(Child);

impl Canary {
    pub(crate) fn start(mesh: &Mesh, address: &str) -> Self {
        let mut command = mesh.command(&["verify", "--watch", "--rate", "2", "--deadline", "8s", "--metrics-address", address]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
