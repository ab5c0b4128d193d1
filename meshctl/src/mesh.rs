//! One mesh: its settings, its home and the ports that hold now.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::home::Home;
use crate::launch::Launch;
use crate::progress::Progress;
use crate::secrets::Secrets;
use crate::services::{self, SERVICES};
use crate::settings::{Ports, Settings};
use crate::state::State;
use crate::{certs, kafka, obi, postgres, prometheus, redis};

/// The servers of every mesh, in the order in which they start.
pub(crate) const INFRASTRUCTURE: [&str; 4] = ["postgres", "redis", "kafka", "backend"];

/// Every process of a mesh: infrastructure, Prometheus, OBI, then services, in the order in which they start.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    INFRASTRUCTURE.into_iter().chain([prometheus::NAME, obi::NAME]).chain(SERVICES.iter().map(|service| service.name))
}

/// One mesh on this machine.
pub(crate) struct Mesh {
    /// What it was told.
    pub(crate) settings: Settings,
    /// Where it keeps what it owns.
    pub(crate) home: Home,
    /// The settings' ports, but where a process already runs, those that it runs with.
    pub(crate) ports: Ports,
    /// For what it is asked over HTTP; no proxy stands between us and 127.0.0.1.
    pub(crate) http: reqwest::Client,
    /// Says what is being done.
    pub(crate) progress: Progress,
    /// The telemetry mode that the settings ask for, whatever was chosen for what runs.
    mode: String,
    /// The same of `tls.mode`.
    tls: String,
}

impl Mesh {
    /// Reads settings and state. `home` defaults to `.mesh` beside the `./mesh` script.
    pub(crate) fn open(config: Option<&Path>, home: Option<&Path>) -> Result<Self> {
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let settings = Settings::load(config, env)?;
        let repository = repository()?;
        let default = repository.join(".mesh");
        let home = Home::at(home.unwrap_or(&default), &repository)?;
        let state = State::read(&home.state())?;
        let (ports, mode, tls) = (settings.ports.clone(), settings.telemetry.mode.clone(), settings.tls.mode.clone());
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut mesh = Self { settings, home, ports, http, progress: Progress::new(), mode, tls };
        mesh.hold(&state);
        Ok(mesh)
    }

    /// Takes over the ports and `tls.mode` of what runs and the telemetry mode that was chosen for it, from a state read
    /// under the lock.
    pub(crate) fn hold(&mut self, state: &State) {
        self.ports = holding(&self.settings.ports, state);
        let chosen = state.telemetry.clone().filter(|_| state.any_alive());
        self.settings.telemetry.mode = chosen.unwrap_or_else(|| self.mode.clone());
        let tls = state.tls.clone().filter(|_| state.any_alive());
        self.settings.tls.mode = tls.unwrap_or_else(|| self.tls.clone());
    }

    /// Takes `tls.mode` from the settings again, for a start.
    pub(crate) fn follow_tls(&mut self) {
        self.settings.tls.mode.clone_from(&self.tls);
    }

    /// What the URLs of the gateway and of gRPC servers begin with.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.settings.tls.is_on() { "https" } else { "http" }
    }

    /// The authority of the mesh's certificates, if it has some in use.
    pub(crate) fn ca(&self) -> Option<PathBuf> {
        self.settings.tls.is_on().then(|| self.home.certs().join(certs::CA))
    }

    /// URL of the page with the waterfalls and of the query APIs.
    pub(crate) fn traces_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.traces)
    }

    /// URL of the gateway.
    pub(crate) fn gateway_url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), self.ports.gateway)
    }

    /// How the process called `name` is started.
    pub(crate) fn launch(&self, name: &str, secrets: &Secrets) -> Result<Launch> {
        match name {
            "postgres" => postgres::launch(self),
            "redis" => redis::launch(self),
            "kafka" => kafka::launch(self),
            "backend" => Ok(self.backend()),
            prometheus::NAME => prometheus::launch(self),
            obi::NAME => obi::launch(self),
            service => match services::find(service) {
                Some(service) => Ok(service.launch(self, secrets)),
                None => bail!("there is no {service}; there are {}", names().collect::<Vec<_>>().join(", ")),
            },
        }
    }

    fn backend(&self) -> Launch {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let args = [
            "backend".to_owned(),
            "--page-address".to_owned(),
            address(self.ports.traces),
            "--otlp-grpc".to_owned(),
            address(self.ports.otlp_grpc),
            "--otlp-http".to_owned(),
            address(self.ports.otlp_http),
        ];
        Launch {
            name: "backend",
            program: binary("meshctl"),
            args: args.to_vec(),
            env: std::collections::BTreeMap::new(),
            user: None,
            dir: self.home.root().to_owned(),
        }
    }
}

/// The binary called `name`, beside ours.
pub(crate) fn binary(name: &str) -> PathBuf {
    let ours = std::env::current_exe().unwrap_or_default();
    ours.parent().unwrap_or(Path::new("")).join(name)
}

/// The ports on which `name` listens, with their keys in the settings.
pub(crate) fn ports_of(name: &str, ports: &Ports) -> Vec<(&'static str, u16)> {
    match name {
        "postgres" => vec![("postgres", ports.postgres)],
        "redis" => vec![("redis", ports.redis)],
        "kafka" => vec![("kafka", ports.kafka), ("kafka_controller", ports.kafka_controller)],
        "backend" => vec![("traces", ports.traces), ("otlp_grpc", ports.otlp_grpc), ("otlp_http", ports.otlp_http)],
        prometheus::NAME => vec![("prometheus", ports.prometheus)],
        service => services::find(service)
            .map(|service| [service.port(ports), service.admin_port(ports)].into_iter().flatten().collect())
            .unwrap_or_default(),
    }
}

/// The configured ports, except that what runs keeps those it was started with; a mesh with ephemeral ports keeps all
/// of them for as long as anything of it runs.
fn holding(configured: &Ports, state: &State) -> Ports {
    let Some(recorded) = state.ports.as_ref().filter(|_| state.any_alive()) else { return configured.clone() };
    if state.ephemeral {
        return recorded.clone();
    }
    let mut ports = configured.clone();
    for name in names().filter(|name| state.alive(name).is_some()) {
        for (key, port) in ports_of(name, recorded) {
            ports.set(key, port);
        }
    }
    ports
}

/// The folder with the `./mesh` script: told by that script, or found above our own binary or the current folder.
fn repository() -> Result<PathBuf> {
    if let Some(told) = std::env::var_os("MESH_ROOT") {
        return Ok(PathBuf::from(told));
    }
    let starts = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    let is_repository = |dir: &&Path| dir.join("mesh").is_file() && dir.join("Cargo.toml").is_file();
    let found = starts.iter().flatten().find_map(|start| start.ancestors().find(is_repository));
    match found {
        Some(dir) => Ok(dir.to_owned()),
        None => std::env::current_dir().context("no current folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Identity;
    use crate::state::{Recorded, boot_id};

    fn with_running(name: &str, ports: Ports, ephemeral: bool) -> State {
        let identity = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let recorded = Recorded { identity, boot: boot_id(), command: Vec::new(), fingerprint: String::new(), log: None };
        State { ports: Some(ports), ephemeral, processes: [(name.to_owned(), recorded)].into(), ..State::default() }
    }

    #[test]
    fn what_runs_keeps_its_ports_and_the_rest_follows_the_settings() {
        let (configured, recorded) = (Ports::consecutive(100), Ports::consecutive(200));
        let ports = holding(&configured, &with_running("kafka", recorded.clone(), false));
        assert_eq!((ports.kafka, ports.kafka_controller), (recorded.kafka, recorded.kafka_controller));
        assert_eq!(ports.gateway, configured.gateway);
    }

    #[test]
    fn ephemeral_ports_hold_as_long_as_something_runs() {
        let (configured, recorded) = (Ports::consecutive(100), Ports::consecutive(200));
        let mut state = with_running("redis", recorded.clone(), true);
        assert_eq!(holding(&configured, &state), recorded);
        state.processes.clear();
        assert_eq!(holding(&configured, &state), configured);
    }

    #[test]
    fn every_port_belongs_to_exactly_one_process() {
        let ports = Ports::consecutive(100);
        let mut owned: Vec<u16> = names().flat_map(|name| ports_of(name, &ports)).map(|(_, port)| port).collect();
        owned.sort_unstable();
        assert_eq!(owned, ports.entries().into_iter().map(|(_, port)| port).collect::<Vec<_>>());
    }
}
