//! A mesh that runs for one test.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use meshctl::trace::{Trace, TraceSource};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// For whatever happens "in the end".
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A home that does not exist yet: in `THROUGHLINE_TEST_HOMES`, where `./mesh test` puts what lives for moments, or else in Cargo's folder.
pub(crate) fn new_home() -> PathBuf {
    let folder = std::env::var_os("THROUGHLINE_TEST_HOMES").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    PathBuf::from(folder).join(format!("mesh-{:08x}", rand::random::<u32>()))
}

/// Started by [`Mesh::start`], stopped and wiped when dropped.
pub(crate) struct Mesh {
    home: PathBuf,
    status: Value,
    pub(crate) client: Client,
}

impl Mesh {
    /// Brings a mesh up with the given extra settings (`MESH_...`).
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(&[], settings)
    }

    /// The same with more arguments of `up`.
    pub(crate) fn start_with(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let home = new_home();
        let mut mesh = Self { home, status: Value::Null, client: Client::builder().timeout(Duration::from_secs(20)).build().unwrap() };
        let mut command = mesh.command(&["up", "--detach", "--yes", "--ephemeral-ports", "--json"]);
        command.args(arguments);
        let output = command.envs(settings.iter().copied()).output().unwrap();
        mesh.status = serde_json::from_slice(success(&output)).unwrap();
        mesh
    }

    /// `meshctl ARGUMENTS` for this mesh. It has a Prometheus only where the settings of its start say so.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.args(arguments).arg("--home").arg(&self.home).env("MESH_PROMETHEUS__MODE", "off");
        command
    }

    /// Runs `meshctl ARGUMENTS`, which must succeed, and returns what it printed.
    pub(crate) fn meshctl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        String::from_utf8(success(&output).to_vec()).unwrap()
    }

    pub(crate) fn signal(&self, process: &str, signal: &str) {
        self.meshctl(&["kill", process, "--signal", signal]);
    }

    pub(crate) fn home(&self) -> &PathBuf {
        &self.home
    }

    pub(crate) fn endpoint(&self, name: &str) -> String {
        self.status["endpoints"][name].as_str().unwrap_or_else(|| panic!("no endpoint {name} in {}", self.status)).to_owned()
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        let status: Value = serde_json::from_str(&self.meshctl(&["status", "--json"])).unwrap();
        let services = status["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).unwrap_or_else(|| panic!("no service {name} in {status}")).clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint("gateway"))
    }

    pub(crate) fn demo(&self) -> (String, String) {
        let text = |key: &str| self.status["demo"][key].as_str().unwrap().to_owned();
        (text("email"), text("password"))
    }

    /// E-mail address and password of the demo admin.
    pub(crate) fn admin(&self) -> (String, String) {
        let text = |key: &str| self.status["admin"][key].as_str().unwrap().to_owned();
        (text("email"), text("password"))
    }

    /// An access token of the demo user.
    pub(crate) async fn token(&self) -> String {
        let (email, password) = self.demo();
        let login = self.client.post(self.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }));
        let answer: Value = json_of(login.send().await.unwrap(), StatusCode::OK).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The ids of the first products.
    pub(crate) async fn products(&self, count: usize) -> Vec<String> {
        let page = self.client.get(self.url(&format!("/api/v1/products?limit={count}"))).send().await.unwrap();
        let page: Value = json_of(page, StatusCode::OK).await;
        let ids: Vec<String> =
            page["items"].as_array().unwrap().iter().map(|item| item["product_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), count);
        ids
    }

    /// Places an order of one piece of each product; more headers may be given.
    pub(crate) async fn place(&self, token: &str, products: &[String], headers: &[(&str, &str)]) -> Response {
        let items: Vec<Value> = products.iter().map(|id| json!({ "product_id": id, "quantity": 1 })).collect();
        let mut request = self.client.post(self.url("/api/v1/orders")).bearer_auth(token).json(&json!({ "items": items }));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Waits until the trace meets the condition, which says what is missing.
    pub(crate) async fn trace(&self, trace_id: &str, missing: impl Fn(&Trace) -> Vec<String>) -> Trace {
        let source = TraceSource::new(&self.endpoint("traces")).unwrap();
        let id = trace_id.parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let trace = source.trace(id).await.unwrap();
            let lacks = trace.as_ref().map_or_else(|| vec!["the whole trace".to_owned()], &missing);
            if lacks.is_empty() {
                return trace.unwrap();
            }
            assert!(Instant::now() < deadline, "trace {trace_id} lacks {lacks:#?}\n{}", self.meshctl(&["trace", trace_id]));
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs of the mesh: {}", self.home.join("logs").display());
            let _ = self.command(&["down"]).output();
        } else {
            let _ = self.command(&["reset", "--yes"]).output();
            let _ = std::fs::remove_dir_all(&self.home);
        }
    }
}

/// Standard output of a command that must have ended with 0.
pub(crate) fn success(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    &output.stdout
}

/// The body of an answer that must have the given status.
pub(crate) async fn json_of(response: Response, status: StatusCode) -> Value {
    let (got, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Resident memory of a process in KiB: `VmRSS` in proc(5).
#[cfg(feature = "full")]
pub(crate) fn resident(process: &Value) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process["pid"])).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A header's text.
pub(crate) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap().to_owned()
}

/// Asks again until it is so.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(ask: impl FnMut() -> F) -> T {
    within(PATIENCE, ask).await
}

/// Asks again until it is so, for no longer than `limit`.
pub(crate) async fn within<T, F: Future<Output = Result<T, String>>>(limit: Duration, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(Instant::now() < deadline, "not within {limit:?}: {reason}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A W3C trace context of the caller's own, and its trace id.
pub(crate) fn traceparent(sampled: bool) -> (String, String) {
    let trace_id = format!("{:032x}", rand::random::<u128>().max(1));
    (format!("00-{trace_id}-{:016x}-0{}", rand::random::<u64>().max(1), u8::from(sampled)), trace_id)
}
