//! `mesh trace`: one trace as a waterfall in the terminal, or as JSON.

pub mod fetch;
pub mod find;
pub mod model;
pub mod protocol;
pub mod render;

mod jaeger;

use std::{
    io::{IsTerminal as _, Write as _, stdout},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use console::Term;
use tokio::time::{Instant, sleep};

pub use self::{
    fetch::TraceSource,
    find::SpanFilter,
    model::{Kind, Span, Status, Trace},
    protocol::Protocol,
    render::render,
};
use crate::backend::id::TraceId;

/// The exit code for bad usage or input.
const USAGE: u8 = 2;
/// Columns where the output is not a terminal.
const PLAIN_WIDTH: usize = 100;
/// What tells the trace of an order among those of the gateway.
const ORDER: [(&str, &str); 2] = [("http.request.method", "POST"), ("http.route", "/api/v1/orders")];

/// Which trace to show, and how.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// Trace id: the x-trace-id header of a response
    #[arg(required_unless_present = "last", conflicts_with = "last")]
    pub id: Option<String>,
    /// The newest order placed through the gateway, else its newest request
    #[arg(long)]
    pub last: bool,
    /// Print JSON: a summary and all spans
    #[arg(long)]
    pub json: bool,
    /// Base URL of the trace backend (any Jaeger query API)
    #[arg(long, value_name = "URL")]
    pub backend: Option<String>,
    /// Wait up to this long until the trace is there and has stopped growing
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// Prints a trace. Exit code 0; 1 where the backend has no such trace; 2 where the id is malformed.
///
/// Fails where the backend at `--backend`, else at `default_backend_url`, cannot be reached or answers nonsense.
pub async fn run(args: TraceArgs, default_backend_url: &str) -> anyhow::Result<ExitCode> {
    let wanted = match args.id.as_deref().map(str::parse::<TraceId>).transpose() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    let url = args.backend.as_deref().unwrap_or(default_backend_url);
    let source = TraceSource::new(url)?;
    let deadline = Instant::now() + Duration::from_secs(args.wait);
    let found = match wanted {
        Some(id) => source.settled(id, deadline).await?,
        None => newest(&source, deadline).await?,
    };
    match (found, wanted) {
        (Some(trace), _) => print(&trace, args.json)?,
        (None, Some(id)) => {
            eprintln!(
                "trace {id} is not in the backend at {url}: it may still be on its way (--wait 10), \
                 be evicted, or never have been sampled"
            );
            return Ok(ExitCode::FAILURE);
        }
        (None, None) => {
            eprintln!("the backend at {url} has no trace of the gateway yet: send it a request, or add --wait 10");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn newest(source: &TraceSource, deadline: Instant) -> anyhow::Result<Option<Trace>> {
    loop {
        let mut found = source.newest("gateway", &ORDER).await?;
        if found.is_none() {
            found = source.newest("gateway", &[]).await?;
        }
        match found {
            Some(trace) => return source.settled(trace.id().parse()?, deadline).await,
            None if Instant::now() >= deadline => return Ok(None),
            None => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Prints a trace on stdout: as JSON, or as a waterfall as wide as the terminal.
pub fn print(trace: &Trace, json: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &trace.to_json())?;
        writeln!(out)?;
    } else {
        let width = Term::stdout().size_checked().map_or(PLAIN_WIDTH, |(_, columns)| usize::from(columns));
        out.write_all(render(trace, width, colour_wanted()).as_bytes())?;
    }
    out.flush()?;
    Ok(())
}

/// On a terminal only, and not where `NO_COLOR` (no-color.org) is set or the terminal is dumb.
fn colour_wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
