//! Is OBI at work? It says "instrumenting process" before its probes are loaded, so only a span of a request proves it.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::caller::{Caller, TRACEPARENT};
use crate::mesh::Mesh;
use crate::obi;
use crate::process::Life;
use crate::progress::Step;
use crate::services::{SERVICES, Service};
use crate::state::Recorded;
use crate::tool;
use crate::trace::{Kind, SpanFilter, TraceSource};

/// How often a service is asked again and its span looked for.
const POLL: Duration = Duration::from_millis(500);

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A service whose span has not arrived.
struct Probe {
    service: &'static Service,
    url: String,
    caller: Caller,
}

/// Waits until OBI has made a span of every service, for requests that need nobody else: one to the admin port of each,
/// with a trace context of its own. The requests are listed in the log `obi-probe`.
pub(crate) async fn all_seen(mesh: &Mesh, recorded: &Recorded, step: &Step) -> Result<()> {
    let began = Instant::now();
    let seconds = mesh.settings.deadlines.start;
    let source = TraceSource::new(&mesh.traces_url())?;
    let path = mesh.home.log(obi::PROBE);
    let mut log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut probes = probes(mesh);
    for Probe { service, url, caller } in &probes {
        writeln!(log, "GET {url} {TRACEPARENT}={} service={}", caller.traceparent(), service.name)?;
    }
    while !probes.is_empty() {
        step.doing(&format!("waiting for spans of {}", names(&probes)));
        for place in (0..probes.len()).rev() {
            if seen(mesh, &source, &probes[place]).await? {
                writeln!(log, "seen {} after {:.1} s", probes.remove(place).service.name, began.elapsed().as_secs_f64())?;
            }
        }
        if recorded.life() == Life::Gone {
            bail!("obi ended; its last lines:\n{}", tool::excerpt(&mesh.home.log(obi::NAME)));
        }
        if !probes.is_empty() && began.elapsed() >= Duration::from_secs(seconds) {
            bail!(
                "OBI runs, but no span of {} has arrived within {seconds} s (MESH_DEADLINES__START); requests: {}; its last lines:\n{}",
                names(&probes),
                path.display(),
                tool::excerpt(&mesh.home.log(obi::NAME))
            );
        }
        if !probes.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

fn probes(mesh: &Mesh) -> Vec<Probe> {
    let probe = |service: &'static Service| {
        let url = format!("{}/livez", service.admin(&mesh.ports));
        Probe { service, url, caller: Caller::new() }
    };
    SERVICES.iter().map(probe).collect()
}

fn names(probes: &[Probe]) -> String {
    probes.iter().map(|probe| probe.service.name).collect::<Vec<_>>().join(", ")
}

/// Asks the service once more, then the backend for a span of it.
async fn seen(mesh: &Mesh, source: &TraceSource, probe: &Probe) -> Result<bool> {
    let request = mesh.http.get(&probe.url).header(TRACEPARENT, probe.caller.traceparent()).timeout(PATIENCE);
    if request.send().await.is_err() {
        return Ok(false);
    }
    let Some(trace) = source.trace(probe.caller.trace).await? else { return Ok(false) };
    Ok(!trace.find(&SpanFilter::service(probe.service.name).kind(Kind::Server)).is_empty())
}
