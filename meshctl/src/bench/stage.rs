//! The mesh that is measured: one of its own, without telemetry and without consumers, on servers that are as durable as any.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use super::rival::Postgres;
use crate::mesh::{Mesh, binary};
use crate::secrets::Secrets;
use crate::state::State;
use crate::{kafka, postgres, services};

/// What would compete with the request path for the processor, and is no part of it.
const CONSUMERS: [&str; 3] = ["dispatch", "notification", "analytics"];
/// What a benchmark asks for and a mesh does not have by default.
const SETTINGS: [(&str, &str); 2] = [
    ("MESH_ENV__GATEWAY__THROUGHLINE_RATE_LIMIT__REQUESTS_PER_SECOND", "0"),
    ("MESH_ENV__CATALOG_CACHE__THROUGHLINE_CACHE__NEAR_ENTRIES", "0"),
];
/// How long the relay may take to publish what a run has left.
const DRAIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// The processor time that processes have used.
pub(super) type Clocks = BTreeMap<&'static str, Duration>;

/// A mesh that runs for a benchmark.
pub(super) struct Stage {
    mesh: Mesh,
    status: Value,
}

impl Stage {
    /// Brings it up below the home of `mesh`.
    pub(super) async fn set(mesh: &Mesh) -> Result<Self> {
        let home = mesh.home.root().join("bench");
        let up = ["up", "--detach", "--ephemeral-ports", "--no-demo-order", "--telemetry", "off", "--json"];
        let status = serde_json::from_str(&meshctl(&home, &up).await?)?;
        let mut stop = vec!["stop"];
        stop.extend(CONSUMERS);
        meshctl(&home, &stop).await?;
        let mesh = Mesh::open(None, Some(&home))?;
        Ok(Self { mesh, status })
    }

    /// Stops it and wipes what it has kept.
    pub(super) async fn strike(mesh: &Mesh) -> Result<()> {
        let home = mesh.home.root().join("bench");
        meshctl(&home, &["reset", "--yes"]).await?;
        std::fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))
    }

    /// Where the gateway listens.
    pub(super) fn gateway(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.mesh.ports.gateway))
    }

    /// The port of Redis.
    pub(super) fn redis_port(&self) -> u16 {
        self.mesh.ports.redis
    }

    /// A database of its Postgres.
    pub(super) fn postgres(&self, database: &'static str) -> Result<Postgres> {
        let secrets = Secrets::read(&self.mesh.home.secrets())?.context("the mesh has no passwords")?;
        let bin = postgres::bin_dir(&self.mesh.settings.postgres.bin_dir)?;
        Ok(Postgres { bin, port: self.mesh.ports.postgres, user: postgres::ADMIN, password: secrets.admin, database })
    }

    /// A token of the demo user.
    pub(super) async fn token(&self) -> Result<String> {
        let (demo, url) = (&self.status["demo"], format!("http://{}/api/v1/auth/login", self.gateway()));
        let login = json!({ "email": demo["email"], "password": demo["password"] }).to_string();
        let request = self.mesh.http.post(url).header("content-type", "application/json").body(login);
        let answer: Value = serde_json::from_str(&request.send().await?.error_for_status()?.text().await?)?;
        Ok(answer["access_token"].as_str().context("the answer to the login has no access_token")?.to_owned())
    }

    /// Makes an empty database with the mesh's schema beside the mesh's own, where nobody else works.
    pub(super) async fn second_database(&self, name: &'static str) -> Result<Postgres> {
        self.postgres(postgres::DATABASE)?.sql(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let secrets = Secrets::read(&self.mesh.home.secrets())?.context("the mesh has no passwords")?;
        let mut environment = services::migration_environment(&self.mesh, &secrets);
        let url = format!("postgres://{}:{}@127.0.0.1:{}/{name}", postgres::ADMIN, secrets.admin, self.mesh.ports.postgres);
        environment.insert("THROUGHLINE_DATABASE__URL".into(), url);
        let output = Command::new(binary("db")).args(["migrate", "up"]).envs(environment).output().await?;
        if !output.status.success() {
            bail!("the second database cannot be made: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.postgres(name)
    }

    /// Waits until all that orders have said is in Kafka: what follows is not to pay for what was before.
    pub(super) async fn drained(&self) -> Result<()> {
        let (database, began) = (self.postgres(postgres::DATABASE)?, Instant::now());
        while database.sql("SELECT count(*) FROM orders.outbox").await?.trim() != "0" {
            if began.elapsed() > DRAIN {
                bail!("events wait in the outbox for more than {} s", DRAIN.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The processor time that processes have used up to now; none of those that do not run.
    pub(super) fn clock(&self, names: &[&'static str]) -> Clocks {
        let state = State::read(&self.mesh.home.state()).unwrap_or_default();
        names.iter().filter_map(|name| Some((*name, state.alive(name)?.identity.cpu_time()))).collect()
    }

    /// Starts a process that does not run, and waits until it is ready.
    pub(super) async fn start(&self, name: &str) -> Result<()> {
        meshctl_quietly(self.mesh.home.root(), &["start", name]).await
    }

    /// Stops a process, if it runs.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        meshctl_quietly(self.mesh.home.root(), &["stop", name]).await
    }

    /// `HOST:PORT` of its broker.
    pub(super) fn brokers(&self) -> String {
        kafka::brokers(&self.mesh)
    }

    /// A program of Kafka's own.
    pub(super) fn kafka_tool(&self, class: &str) -> Result<Command> {
        kafka::tool(&self.mesh, class)
    }

    /// A file for what a tool is to read.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.mesh.home.root().join(name)
    }
}

/// Runs another command of ours for the mesh in `home`; its progress is ours.
async fn meshctl(home: &Path, arguments: &[&str]) -> Result<String> {
    let output = ours(home, arguments).stderr(Stdio::inherit()).output().await?;
    if !output.status.success() {
        bail!("./mesh {} --home {} has failed ({})", arguments.join(" "), home.display(), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The same between rounds: its progress is shown only where it fails.
async fn meshctl_quietly(home: &Path, arguments: &[&str]) -> Result<()> {
    let output = ours(home, arguments).output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("./mesh {} --home {} has failed ({}):\n{said}", arguments.join(" "), home.display(), output.status);
    }
    Ok(())
}

fn ours(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("meshctl"));
    command.args(arguments).arg("--home").arg(home).envs(SETTINGS).stdin(Stdio::null()).kill_on_drop(true);
    command
}
