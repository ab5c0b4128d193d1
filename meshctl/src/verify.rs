//! `mesh verify`: whether a telemetry pipeline lost or bent anything, span by span.
//!
//! Orders are placed, each with a trace id of its own; each trace is fetched from the backend and compared with the graph
//! that a [`Contract`] expects. The same is done for traces that are there already, of any system, and for ever, as a canary.

pub mod args;
pub mod check;
pub mod contract;
pub mod http;
pub mod source;

mod canary;
mod counts;
mod explain;
mod report;
mod run;
mod send;
mod shop;
mod tally;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use anyhow::{Context as _, Result};
use tokio::time::Instant;

pub use self::{args::VerifyArgs, check::check, contract::Contract};
use self::{
    contract::Graph,
    http::Http,
    report::Report,
    shop::{Login, Shop},
    source::Source,
    tally::Tally,
    wait::{Subject, Waiter},
};
use crate::{backend::id::TraceId, failure, output};

/// How long a trace may take to become whole, where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(30);

/// What `verify` uses of the mesh unless it is told otherwise.
#[derive(Debug, Clone)]
pub struct Own {
    /// Base URL of the trace backend.
    pub traces: String,
    /// URL of the gateway.
    pub gateway: String,
    /// The authority that its certificate is from, where it has one.
    pub ca: Option<PathBuf>,
    /// Email address of the demo user.
    pub email: String,
    /// Their password, once the mesh was started.
    pub password: Option<String>,
    /// How its services make spans (`telemetry.mode`).
    pub mode: String,
    /// The `/metrics` page of orders.
    pub metrics: String,
    /// The folder with the services' logs.
    pub logs: PathBuf,
}

/// Everything that one call works with.
struct Session {
    args: VerifyArgs,
    own: Own,
    contract: Contract,
    mode: String,
    graph: Arc<Graph>,
    http: Http,
    source: Source,
}

/// Does what `args` say. Exit code 0; 1 where fewer traces than `--min-complete` are complete, or counts disagree.
///
/// Bad input (a contract, an id, a certificate) and a backend that cannot be reached are errors.
pub async fn run(args: VerifyArgs, own: Own, json: bool) -> Result<ExitCode> {
    let session = Session::open(args, own)?;
    if let Some(id) = &session.args.explain {
        return session.explain(trace_id(id)?, json).await;
    }
    if session.args.watch {
        return canary::run(&session).await;
    }
    let report = if session.args.sends() { run::orders(&session).await? } else { session.existing().await? };
    if json {
        output::json(&report)?;
    } else {
        output::line(&report.text())?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `--mode`, else that of the mesh for its own orders, else the contract's first.
fn chosen_mode(args: &VerifyArgs, own: &Own, contract: &Contract) -> String {
    let ours = Some(&own.mode).filter(|mode| args.contract.is_none() && contract.modes.contains(mode));
    args.mode.as_ref().or(ours).or(contract.modes.first()).cloned().unwrap_or_default()
}

fn trace_id(text: &str) -> Result<TraceId> {
    text.parse::<TraceId>().map_err(|err| failure::usage(err.to_string()))
}

impl Session {
    fn open(args: VerifyArgs, own: Own) -> Result<Self> {
        let contract = Contract::load(args.contract.as_deref())?;
        let mode = chosen_mode(&args, &own, &contract);
        let graph = Arc::new(contract.graph(Some(&mode))?);
        let headers = HeaderMap::from_iter(args.header.clone());
        let http = Http::new(headers, args.ca.as_deref())?;
        let source = Source::new(http.clone(), &args.backend, &own.traces);
        Ok(Self { args, own, contract, mode, graph, http, source })
    }

    /// Gives each trace `--deadline`, or `default`.
    fn waiter(&self, default: Duration) -> Waiter {
        Waiter::new(self.source.clone(), Arc::clone(&self.graph), self.args.deadline.unwrap_or(default))
    }

    /// The node by which the contract counts requests.
    fn counted(&self) -> Option<usize> {
        let id = self.contract.counts.span.as_ref()?;
        self.graph.nodes.iter().position(|node| node.node.id == *id)
    }

    fn subject(&self) -> report::Subject {
        report::Subject {
            contract: self.contract.name.clone(),
            mode: self.mode.clone(),
            backend: self.source.to_string(),
            min_complete: self.args.min_complete,
        }
    }

    /// Fails unless the backend answers: what it says of a trace that nobody made shows whether it would say anything.
    async fn backend_answers(&self) -> Result<()> {
        let nobody = trace_id(&format!("{:032x}", rand::random::<u128>().max(1)))?;
        self.source.trace(nobody).await.map(drop).with_context(|| format!("the trace backend, {}, does not answer", self.source))
    }

    async fn shop(&self) -> Result<Shop> {
        let login = match (&self.args.email, &self.args.password, &self.own.password) {
            (Some(email), Some(password), _) => Login { email: email.clone(), password: password.clone(), register: false },
            (None, Some(password), _) => Login { email: self.own.email.clone(), password: password.clone(), register: false },
            (None, None, Some(password)) => Login { email: self.own.email.clone(), password: password.clone(), register: true },
            _ => {
                return Err(failure::usage(
                    "nobody to place orders as: start a mesh with ./mesh up, or give --gateway, --email and --password",
                ));
            }
        };
        match (&self.args.gateway, &self.own.ca) {
            (Some(gateway), _) => Shop::open(self.http.bare(), gateway, login).await,
            (None, Some(ca)) => Shop::open(Http::new(HeaderMap::new(), Some(ca))?, &self.own.gateway, login).await,
            (None, None) => Shop::open(self.http.bare(), &self.own.gateway, login).await,
        }
    }

    async fn explain(&self, id: TraceId, json: bool) -> Result<ExitCode> {
        let subject = Subject { id, entry: None, ended: Instant::now() };
        let waiter = self.waiter(Duration::ZERO);
        let checked = if self.args.deadline.is_some() { waiter.whole(subject).await } else { waiter.look(&subject).await };
        if let Some(failure) = checked.failure {
            anyhow::bail!("the trace backend, {}: {failure}", self.source);
        }
        let (trace, verdict) = (&checked.trace, &checked.verdict);
        if json {
            output::json(&explain::json(trace, &self.graph, verdict))?;
        } else {
            output::line(&explain::tree(trace, &self.graph, verdict))?;
        }
        Ok(if verdict.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Checks the traces that `--trace` or `--search` name.
    async fn existing(&self) -> Result<Report> {
        self.backend_answers().await?;
        let ids = match &self.args.search {
            Some(search) => self.source.search(search, usize::from(self.args.limit)).await?,
            None => self.args.trace.iter().map(|id| trace_id(id)).collect::<Result<_>>()?,
        };
        let waiter = self.waiter(Duration::ZERO);
        let looks = ids.into_iter().map(|id| {
            let (subject, waiter) = (Subject { id, entry: None, ended: Instant::now() }, &waiter);
            async move { if self.args.deadline.is_some() { waiter.whole(subject).await } else { waiter.look(&subject).await } }
        });
        let mut tally = Tally::default();
        for mut checked in futures::future::join_all(looks).await {
            // when the request ended is not known
            checked.delay = None;
            tally.checked(&checked, self.counted());
        }
        Ok(Report::new(self.subject(), &tally, None, None, Vec::new()))
    }
}
