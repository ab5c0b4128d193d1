//! Starting a mesh: what runs already is kept, what is missing is started, and everything is ready at the end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;

use crate::mesh::{Mesh, binary, names, ports_of};
use crate::progress::Step;
use crate::secrets::Secrets;
use crate::services::{self, SERVICES};
use crate::state::LockedState;
use crate::tool::Tool;
use crate::{control, kafka, obi, ports, postgres, prometheus};

/// One start of a mesh.
pub(crate) struct Start<'a> {
    /// The mesh.
    pub(crate) mesh: &'a Mesh,
    /// Its state, locked.
    pub(crate) state: &'a LockedState,
    /// Its passwords.
    pub(crate) secrets: &'a Secrets,
}

impl Start<'_> {
    /// Brings up the servers, and unless `infra_only` the services. Every failure is reported, not only the first.
    pub(crate) async fn all(&self, infra_only: bool) -> Result<()> {
        self.preflight(infra_only)?;
        self.state.change(|state| {
            state.ports = Some(self.mesh.ports.clone());
            state.tls = Some(self.mesh.settings.tls.mode.clone());
        })?;
        let stores = async {
            let (postgres, redis, backend) = tokio::join!(self.process("postgres"), self.process("redis"), self.process("backend"));
            all([postgres, redis, backend])
        };
        let rest = async {
            stores.await?;
            if infra_only {
                return Ok(());
            }
            self.migrate().await?;
            self.observe().await?;
            self.scrape().await?;
            all(join_all(SERVICES.iter().map(|service| self.process(service.name))).await)
        };
        let (kafka, rest) = tokio::join!(self.process("kafka"), rest);
        all([kafka, rest])?;
        if infra_only { Ok(()) } else { self.see().await }
    }

    /// Starts Prometheus where it is wanted, and stops it where it is not.
    async fn scrape(&self) -> Result<()> {
        if prometheus::is_wanted(self.mesh) {
            return self.process(prometheus::NAME).await;
        }
        if self.state.get().processes.contains_key(prometheus::NAME) {
            control::stop(self.mesh, self.state, prometheus::NAME).await?;
        }
        Ok(())
    }

    /// In mode `ebpf`, starts OBI before any service: it does not see what they opened earlier, so those that run are
    /// stopped where it has to start. In other modes, stops it.
    async fn observe(&self) -> Result<()> {
        let state = self.state.get();
        if !self.mesh.settings.telemetry.is_ebpf() {
            if state.processes.contains_key(obi::NAME) {
                control::stop(self.mesh, self.state, obi::NAME).await?;
            }
            return Ok(());
        }
        let fingerprint = self.mesh.launch(obi::NAME, self.secrets)?.fingerprint();
        if state.alive(obi::NAME).is_none_or(|running| running.fingerprint != fingerprint) {
            for service in SERVICES.iter().rev() {
                control::stop(self.mesh, self.state, service.name).await?;
            }
        }
        self.process(obi::NAME).await
    }

    /// Waits until OBI has made a span of every service, in mode `ebpf`.
    pub(crate) async fn see(&self) -> Result<()> {
        let recorded = self.state.get().processes.get(obi::NAME).cloned();
        let Some(recorded) = recorded.filter(|_| self.mesh.settings.telemetry.is_ebpf()) else { return Ok(()) };
        let step = self.mesh.progress.step("obi sees", "sending requests");
        match obi::watch::all_seen(self.mesh, &recorded, &step).await {
            Ok(()) => {
                step.done("a span of every service has arrived");
                self.state.change(|state| state.seeing = Some(recorded.identity))
            }
            Err(err) => {
                step.failed();
                Err(err)
            }
        }
    }

    /// Reports every port that something else holds, before anything is started.
    fn preflight(&self, infra_only: bool) -> Result<()> {
        let state = self.state.get();
        let scraped = !infra_only && prometheus::is_wanted(self.mesh);
        let starting = names()
            .filter(|name| scraped || *name != prometheus::NAME)
            .filter(|name| !infra_only || services::find(name).is_none())
            .filter(|name| state.alive(name).is_none());
        let wanted: Vec<_> = starting.flat_map(|name| ports_of(name, &self.mesh.ports)).collect();
        let taken = ports::taken(&wanted);
        if !taken.is_empty() {
            bail!("{}\n(--ephemeral-ports uses free ports for everything)", taken.join("\n"));
        }
        Ok(())
    }

    async fn process(&self, name: &'static str) -> Result<()> {
        let step = self.mesh.progress.step(name, "starting");
        match Box::pin(self.bring_up(name, &step)).await {
            Ok(how) => {
                step.done(how);
                Ok(())
            }
            Err(err) => {
                step.failed();
                Err(err)
            }
        }
    }

    async fn bring_up(&self, name: &'static str, step: &Step) -> Result<&'static str> {
        match name {
            "postgres" => postgres::prepare(self.mesh, self.secrets, step).await?,
            "redis" => drop(self.mesh.home.create_server("redis")?),
            "kafka" => kafka::prepare(self.mesh, step).await?,
            prometheus::NAME => prometheus::prepare(self.mesh)?,
            obi::NAME => obi::prepare(self.mesh, step).await?,
            _ => {}
        }
        step.doing("starting");
        let launch = self.mesh.launch(name, self.secrets)?;
        let (recorded, new) = control::start(self.mesh, self.state, &launch).await?;
        control::ready(self.mesh, name, &recorded).await?;
        if name == "kafka" {
            step.doing("declaring the topics");
            let deadline = Duration::from_secs(self.mesh.settings.deadlines.start);
            kafka::topics(self.mesh, deadline).await?;
        }
        Ok(if new { "ready" } else { "ready, ran already" })
    }

    /// Brings the schema up to date and seeds the demo data; does nothing where both are done.
    async fn migrate(&self) -> Result<()> {
        let step = self.mesh.progress.step("schema", "migrating");
        let done = async {
            self.db(&["migrate", "up"]).await?;
            step.doing("seeding");
            self.db(&["seed"]).await
        };
        match done.await {
            Ok(()) => {
                step.done("migrated and seeded");
                Ok(())
            }
            Err(err) => {
                step.failed();
                Err(err)
            }
        }
    }

    async fn db(&self, args: &[&str]) -> Result<()> {
        let program = binary("db");
        if !program.is_file() {
            bail!("{} is not there: ./mesh up builds it (or cargo build --release --workspace)", program.display());
        }
        let name = format!("db {}", args.join(" "));
        let tool = Tool {
            name: &name,
            program: &program,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: services::migration_environment(self.mesh, self.secrets),
            user: None,
            dir: self.mesh.home.root(),
            input: "",
        };
        tool.run(&self.mesh.home.log("migrate")).await
    }
}

/// Ok if all are; otherwise one error that tells each.
fn all(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let errors: Vec<String> = results.into_iter().filter_map(|result| Some(format!("{:#}", result.err()?))).collect();
    if errors.is_empty() { Ok(()) } else { bail!("{}", errors.join("\n")) }
}

/// Locks the state of `mesh`, making its home if needed.
pub(crate) fn lock(mesh: &Mesh) -> Result<LockedState> {
    mesh.home.create()?;
    let path: &Path = &mesh.home.lock();
    let waiting = || mesh.progress.say(&format!("another command is changing this mesh: waiting for {}", path.display()));
    LockedState::open(&mesh.home.state(), path, waiting)
}

/// The passwords of a mesh that was started before.
pub(crate) fn secrets(mesh: &Mesh) -> Result<Secrets> {
    Secrets::read(&mesh.home.secrets())?
        .with_context(|| format!("there is no mesh in {} yet: ./mesh up makes one", mesh.home.root().display()))
}
