//! The promise of `runtime.model = thread-per-connection`, which is what lets OBI follow a service: every socket read and
//! write of a request, those of the clients included, happens on one thread. Seen from outside, with strace.

mod syscalls;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use futures::{StreamExt, stream};
use reqwest::StatusCode;
use syscalls::Syscalls;

use crate::{
    edges::{missing, order_paths},
    running::{Mesh, eventually, header, resident},
};

const REQUESTS: usize = 2_000;
const CONNECTIONS: usize = 32;
/// The services that serve connections, and whom each of them calls within an order.
const SERVERS: [(&str, &[&str]); 4] =
    [("gateway", &["auth", "orders"]), ("auth", &["redis"]), ("orders", &["catalog-cache", "postgres"]), ("catalog-cache", &["redis"])];

/// A mesh whose servers run under strace; `model` is theirs.
struct Watched {
    mesh: Mesh,
    runs: Vec<Child>,
}

impl Watched {
    async fn start(model: &str) -> Self {
        let settings: Vec<(String, &str)> =
            SERVERS.iter().map(|(name, _)| (format!("MESH_ENV__{}__THROUGHLINE_RUNTIME__MODEL", name.to_uppercase()), model)).collect();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let mesh = Mesh::start(&settings);
        let mut runs = Vec::new();
        for (name, _) in SERVERS {
            let calls = "read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg";
            let wrap = format!("strace -f -yy -s 0 -e trace={calls} -e signal=none -o {}", log(mesh.home(), name).display());
            let before = mesh.service(name)["pid"].clone();
            let mut run = mesh.command(&["run", name, "--wrap", &wrap]);
            let output = std::fs::File::create(mesh.home().join(format!("{name}.out"))).unwrap();
            let run = run.envs(settings.iter().copied()).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
            runs.push(run.spawn().unwrap());
            eventually(|| async {
                let now = mesh.service(name);
                if now["pid"] == before || now["state"] != "ready" { Err(format!("{name} is {now}")) } else { Ok(()) }
            })
            .await;
        }
        Self { mesh, runs }
    }

    /// Places the orders over as many connections, once every connection has its thread and its clients, and returns the
    /// traces of those that were placed. Under strace a few may come too late on a slow machine.
    async fn load(&self) -> Vec<String> {
        let (token, products) = (self.mesh.token().await, self.mesh.products(40).await);
        let place = |turn: usize| {
            let product = products[turn % products.len()].clone();
            let token = &token;
            async move {
                let order = self.mesh.place(token, &[product], &[]).await;
                (order.status(), header(&order, "x-trace-id"), order.bytes().await)
            }
        };
        eventually(|| async {
            let first: Vec<_> = stream::iter(0..CONNECTIONS).map(place).buffer_unordered(CONNECTIONS).collect().await;
            let late = first.iter().filter(|(status, ..)| *status != StatusCode::CREATED).count();
            if late == 0 { Ok(()) } else { Err(format!("{late} of {CONNECTIONS} connections are not warm")) }
        })
        .await;
        let placed: Vec<_> = stream::iter(0..REQUESTS).map(place).buffer_unordered(CONNECTIONS).collect().await;
        let late: Vec<_> = placed.iter().filter(|(status, ..)| *status != StatusCode::CREATED).collect();
        assert!(late.len() < REQUESTS / 10, "{} of {REQUESTS} orders were not placed, such as {:?}", late.len(), late.first());
        placed.iter().filter(|(status, ..)| *status == StatusCode::CREATED).map(|(_, trace_id, _)| trace_id.clone()).collect()
    }

    /// Where the promise is broken, given how many orders were placed.
    fn broken(&self, requests: usize) -> Vec<String> {
        let ports: Vec<(String, String)> =
            ["gateway", "auth", "orders", "catalog-cache", "postgres", "redis"].map(|name| (name.to_owned(), self.port(name))).into();
        let of = |(name, calls): (&'static str, &[&str])| {
            let text = std::fs::read_to_string(log(self.mesh.home(), name)).unwrap();
            let seen = Syscalls::read(&text, &ports, name);
            seen.broken(calls, requests).into_iter().map(move |what| format!("{name}: {what}"))
        };
        SERVERS.into_iter().flat_map(of).collect()
    }

    fn port(&self, name: &str) -> String {
        let url = match name {
            "gateway" | "postgres" | "redis" => self.mesh.endpoint(name),
            grpc => self.mesh.service(grpc)["grpc"].as_str().unwrap().to_owned(),
        };
        let authority = url.split("://").nth(1).unwrap().rsplit('@').next().unwrap().to_owned();
        authority.split('/').next().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _stopped = self.mesh.command(&["down"]).output();
        for run in &mut self.runs {
            let _ended = run.wait();
        }
    }
}

fn log(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.strace"))
}

/// Whether processes may be traced here; some containers forbid it, and then nothing can be seen.
fn may_trace() -> bool {
    let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let may = probe.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("NOT TESTED: strace may not trace processes here ({probe:?}); a container needs the capability SYS_PTRACE");
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_thread_per_connection_each_request_stays_on_its_thread_and_its_trace_is_whole() {
    if !may_trace() {
        return;
    }
    let watched = Watched::start("thread-per-connection").await;
    let traces = watched.load().await;
    assert_eq!(watched.broken(traces.len()), Vec::<String>::new());
    let paths = order_paths();
    for trace_id in traces.iter().rev().take(100) {
        watched.mesh.trace(trace_id, |trace| missing(trace, &paths, None)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_shared_threads_the_promise_is_seen_to_be_broken() {
    if !may_trace() {
        return;
    }
    let watched = Watched::start("shared").await;
    let traces = watched.load().await;
    let broken = watched.broken(traces.len());
    assert!(broken.iter().any(|what| what.contains("is used by")), "{broken:#?}");
}

#[tokio::test]
async fn a_connection_that_does_nothing_costs_a_service_at_most_a_mebibyte() {
    const IDLE: usize = 63;
    let mesh = Mesh::start(&[("MESH_RUNTIME__MODEL", "thread-per-connection")]);
    let (token, products) = (mesh.token().await, mesh.products(40).await);
    // what a service takes once, however many connections come
    for product in products.iter().cycle().take(300) {
        assert_eq!(mesh.place(&token, std::slice::from_ref(product), &[]).await.status(), StatusCode::CREATED);
    }
    let before = SERVERS.map(|(service, _)| resident(&mesh.service(service)));
    let mut idle = Vec::new();
    for product in products.iter().cycle().take(IDLE) {
        let client = reqwest::Client::new();
        let order = serde_json::json!({ "items": [{ "product_id": product, "quantity": 1 }] });
        let answer = client.post(mesh.url("/api/v1/orders")).bearer_auth(&token).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.bytes().await.unwrap();
        idle.push(client);
    }
    for ((service, _), before) in SERVERS.iter().zip(before) {
        let each = resident(&mesh.service(service)).saturating_sub(before) / IDLE as u64;
        let threads = std::fs::read_dir(format!("/proc/{}/task", mesh.service(service)["pid"])).unwrap().count();
        assert!(threads > IDLE, "{service} has {threads} threads: the connections are gone");
        assert!(each <= 1024, "{service}: {each} KiB for each of {IDLE} idle connections");
    }
}
