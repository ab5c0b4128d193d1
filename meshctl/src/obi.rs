//! OpenTelemetry eBPF Instrumentation, which makes the spans in mode `ebpf`: how it is found, started, and known to work.

pub(crate) mod runner;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::fingerprint;
use crate::launch::{Launch, in_path};
use crate::machine::Machine;
use crate::mesh::Mesh;
use crate::obi::runner::{Rights, Runner};
use crate::progress::Step;
use crate::services::SERVICES;
use crate::state::Recorded;
use crate::tool::{Tool, first_line};

/// Its name in the mesh.
pub(crate) const NAME: &str = "obi";

/// The log of the requests by which it is known to work.
pub(crate) const PROBE: &str = "obi-probe";

/// The log of fetching its image.
pub(crate) const SETUP: &str = "obi-setup";

/// Where the settings file is inside a container.
const MOUNTED: &str = "/obi.yaml";

/// OBI's own settings file.
pub(crate) fn settings_file(mesh: &Mesh) -> PathBuf {
    match mesh.settings.obi.settings.as_str() {
        "" => mesh.home.repository().join("observability/obi/obi.yaml"),
        file => std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file)),
    }
}

/// How OBI is started: by us, by sudo or by Docker.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    if !mesh.settings.telemetry.is_ebpf() {
        bail!("obi belongs to telemetry mode ebpf, and this mesh has {}: ./mesh up --telemetry ebpf", mesh.settings.telemetry.mode);
    }
    let file = settings_file(mesh);
    let told = |config: &Path| environment(mesh, config, &std::fs::read(&file).unwrap_or_default());
    let (program, args, env) = match runner::find().map_err(|why| anyhow!(why))? {
        Runner::Docker(docker) => (docker, docker_args(mesh, &file, &told(Path::new(MOUNTED))), BTreeMap::new()),
        Runner::Program(obi) => match runner::rights(&Machine::here()) {
            Rights::Sudo(sudo) => (sudo, sudo_args(&obi, &told(&file)), BTreeMap::new()),
            Rights::Own | Rights::None => (obi, Vec::new(), told(&file)),
        },
    };
    Ok(Launch { name: NAME, program, args, env, user: None, dir: mesh.home.root().to_owned() })
}

/// What OBI is told besides its settings file. The last one makes it start anew when that file has changed.
fn environment(mesh: &Mesh, config: &Path, settings: &[u8]) -> BTreeMap<String, String> {
    let otlp = format!("http://127.0.0.1:{}/v1/traces", mesh.ports.otlp_http);
    [
        ("OTEL_EBPF_CONFIG_PATH", config.display().to_string()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otlp),
        ("THROUGHLINE_OBI_PORTS", served_ports(mesh)),
        ("THROUGHLINE_OBI_SETTINGS", fingerprint::of(settings)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// A port of every service of this mesh, by which OBI tells them from those of another one.
fn served_ports(mesh: &Mesh) -> String {
    let ports = SERVICES.iter().filter_map(|service| service.port(&mesh.ports).or_else(|| service.admin_port(&mesh.ports)));
    ports.map(|(_, port)| port.to_string()).collect::<Vec<_>>().join(",")
}

fn container(mesh: &Mesh) -> String {
    format!("throughline-obi-{}", mesh.home.hash())
}

fn docker_args(mesh: &Mesh, settings: &Path, env: &BTreeMap<String, String>) -> Vec<String> {
    let mut args: Vec<String> = ["run", "--rm", "--privileged", "--pid=host", "--network=host"].map(str::to_owned).to_vec();
    args.push(format!("--name={}", container(mesh)));
    args.push(format!("--volume={}:{MOUNTED}:ro", settings.display()));
    args.push("--volume=/sys/fs/cgroup:/sys/fs/cgroup".to_owned());
    args.extend(env.iter().map(|(key, value)| format!("--env={key}={value}")));
    args.push(mesh.settings.obi.image.clone());
    args
}

/// sudo passes no environment on, env(1) does.
fn sudo_args(obi: &Path, env: &BTreeMap<String, String>) -> Vec<String> {
    let told = env.iter().map(|(key, value)| format!("{key}={value}"));
    ["-n".to_owned(), "env".to_owned()].into_iter().chain(told).chain([obi.display().to_string()]).collect()
}

/// Fetches OBI's image if it is needed and not there, and removes a container that was left over.
pub(crate) async fn prepare(mesh: &Mesh, step: &Step) -> Result<()> {
    let Ok(Runner::Docker(docker)) = runner::find() else { return Ok(()) };
    let image = mesh.settings.obi.image.clone();
    remove_container(mesh).await;
    if first_line(&docker, &["image", "inspect", "--format", "{{.Id}}", &image]).await.is_some() {
        return Ok(());
    }
    step.doing("fetching its image");
    let args = vec!["pull".to_owned(), image];
    let (env, dir) = (BTreeMap::new(), mesh.home.root());
    let tool = Tool { name: "docker pull", program: &docker, args, env, user: None, dir, input: "" };
    tool.run(&mesh.home.log(SETUP)).await
}

/// What is left of OBI when its process has ended: Docker's client may have been killed with the container still there.
pub(crate) async fn clean_up(mesh: &Mesh, recorded: &Recorded) {
    if recorded.command.get(1).is_some_and(|first| first == "run") {
        remove_container(mesh).await;
    }
}

/// Nothing happens where there is none.
async fn remove_container(mesh: &Mesh) {
    if let Some(docker) = in_path("docker") {
        first_line(&docker, &["rm", "--force", &container(mesh)]).await;
    }
}

#[cfg(test)]
mod keys;
