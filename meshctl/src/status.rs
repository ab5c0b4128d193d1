//! What runs, as the document that scripts rely on and as a table.

use std::io::IsTerminal;

use anyhow::Result;
use comfy_table::{Table, presets};
use futures::future::join_all;
use serde::Serialize;

use crate::mesh::{INFRASTRUCTURE, Mesh};
use crate::process::Life;
use crate::secrets::Secrets;
use crate::services::{self, SERVICES};
use crate::state::State;
use crate::{kafka, obi, postgres, probe, prometheus, redis};

/// `status --json`. Keys are absent where nothing runs.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Who makes the spans: `sdk`, `ebpf` or `off`.
    pub(crate) telemetry: String,
    /// Where to reach what runs.
    pub(crate) endpoints: Endpoints,
    /// The services, in the order in which they start.
    pub(crate) services: Vec<Process>,
    /// Postgres, Redis, Kafka, the trace backend, Prometheus where there is one, and OBI in mode `ebpf`, in the same form.
    pub(crate) infrastructure: Vec<Process>,
    /// How the demo user logs in, once the mesh was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demo: Option<Login>,
    /// How the demo admin does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<Login>,
    /// The trace of the order that `up` placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

/// URLs, except for Kafka's `HOST:PORT`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Endpoints {
    /// The public REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<String>,
    /// The page with the waterfalls and Jaeger's query API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traces: Option<String>,
    /// OTLP over gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp: Option<String>,
    /// Tempo's query API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tempo: Option<String>,
    /// Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prometheus: Option<String>,
    /// Postgres as the admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<String>,
    /// Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<String>,
    /// Kafka, `HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<String>,
}

/// One process.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its pid, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
    /// `ready`, `unready` (it runs but does not answer; OBI: no span of it has arrived yet), `paused`, `died` or `stopped`.
    pub(crate) state: &'static str,
    /// URL of its gRPC server, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc: Option<String>,
    /// URL of its admin port, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<String>,
    /// Its log file.
    pub(crate) log: String,
}

/// A login.
#[derive(Debug, Serialize)]
pub(crate) struct Login {
    /// Email address.
    pub(crate) email: String,
    /// Password.
    pub(crate) password: String,
}

/// Looks at every process and asks those that run.
pub(crate) async fn status(mesh: &Mesh) -> Result<Status> {
    let state = State::read(&mesh.home.state())?;
    let secrets = Secrets::read(&mesh.home.secrets())?;
    let services = join_all(SERVICES.iter().map(|service| process(mesh, &state, service.name))).await;
    let observer = Some(obi::NAME).filter(|name| mesh.settings.telemetry.is_ebpf() || state.processes.contains_key(*name));
    let scraper = Some(prometheus::NAME).filter(|name| prometheus::is_wanted(mesh) || state.processes.contains_key(*name));
    let infrastructure = join_all(INFRASTRUCTURE.into_iter().chain(scraper).chain(observer).map(|name| process(mesh, &state, name))).await;
    Ok(Status {
        telemetry: mesh.settings.telemetry.mode.clone(),
        endpoints: endpoints(mesh, &state, secrets.as_ref()),
        services,
        infrastructure,
        admin: secrets.clone().map(|secrets| Login { email: mesh.settings.demo.admin_email.clone(), password: secrets.demo_admin }),
        demo: secrets.map(|secrets| Login { email: mesh.settings.demo.email.clone(), password: secrets.demo }),
        trace_id: state.trace_id.clone().filter(|_| state.alive("backend").is_some()),
    })
}

async fn process(mesh: &Mesh, state: &State, name: &'static str) -> Process {
    let recorded = state.processes.get(name);
    let life = recorded.map(crate::state::Recorded::life);
    let running = matches!(life, Some(Life::Running | Life::Paused));
    let service = services::find(name).filter(|_| running);
    let obi_sees = recorded.is_some_and(|recorded| state.seeing == Some(recorded.identity));
    Process {
        name,
        pid: recorded.filter(|_| running).map(|recorded| recorded.identity.pid),
        state: match life {
            None => "stopped",
            Some(Life::Gone) => "died",
            Some(Life::Paused) => "paused",
            Some(Life::Running) if name == obi::NAME && !obi_sees => "unready",
            Some(Life::Running) if probe::answers(mesh, name).await => "ready",
            Some(Life::Running) => "unready",
        },
        grpc: service.and_then(|service| service.grpc(mesh)),
        admin: service.map(|service| service.admin(&mesh.ports)),
        log: mesh.home.log(name).display().to_string(),
    }
}

fn endpoints(mesh: &Mesh, state: &State, secrets: Option<&Secrets>) -> Endpoints {
    let runs = |name: &str| state.alive(name).is_some();
    let traces = runs("backend").then(|| mesh.traces_url());
    Endpoints {
        gateway: runs("gateway").then(|| mesh.gateway_url()),
        tempo: traces.as_ref().map(|url| format!("{url}/tempo")),
        traces,
        prometheus: runs(prometheus::NAME).then(|| prometheus::url(mesh)),
        otlp: runs("backend").then(|| format!("http://127.0.0.1:{}", mesh.ports.otlp_grpc)),
        postgres: secrets.filter(|_| runs("postgres")).map(|secrets| postgres::url(mesh, postgres::ADMIN, &secrets.admin)),
        redis: runs("redis").then(|| redis::url(mesh)),
        kafka: runs("kafka").then(|| kafka::brokers(mesh)),
    }
}

/// The status for people.
pub(crate) fn table(status: &Status) -> String {
    let mut table = Table::new();
    let preset = if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(["name", "state", "pid", "gRPC", "admin", "log"]);
    for process in status.infrastructure.iter().chain(&status.services) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let pid = process.pid.map(|pid| pid.to_string()).unwrap_or_default();
        table.add_row([
            process.name.to_owned(),
            process.state.to_owned(),
            pid,
            text(&process.grpc),
            text(&process.admin),
            process.log.clone(),
        ]);
    }
    format!("{table}\ntelemetry: {}", status.telemetry)
}
