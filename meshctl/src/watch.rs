//! Watching a mesh from the foreground: which process died, and when to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::mesh::Mesh;
use crate::process::{Identity, Life};
use crate::state::State;
use crate::tool;

/// How often the processes are looked at.
const POLL: Duration = Duration::from_millis(500);

/// Ctrl-C, SIGTERM and SIGHUP, caught from the moment this is made.
pub(crate) struct Interrupts {
    signals: [Signal; 3],
}

impl Interrupts {
    /// Catches the signals from now on.
    pub(crate) fn new() -> Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    /// Waits for one of them.
    pub(crate) async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Reports each process that dies, once, with its last lines. Returns when nothing is on record any more, which is
/// what `down` in another terminal leaves.
pub(crate) async fn until_down(mesh: &Mesh) -> Result<()> {
    let mut reported: BTreeSet<(String, i32)> = BTreeSet::new();
    let mut seen: BTreeMap<String, Identity> = BTreeMap::new();
    loop {
        let state = State::read(&mesh.home.state())?;
        if state.processes.is_empty() {
            return Ok(());
        }
        for (name, recorded) in &state.processes {
            let key = (name.clone(), recorded.identity.pid);
            if recorded.life() == Life::Gone {
                recorded.identity.reap();
                if reported.insert(key) {
                    report(mesh, name);
                }
            } else if seen.insert(name.clone(), recorded.identity).is_some_and(|before| before != recorded.identity) {
                mesh.progress.say(&format!("{name} runs again (pid {})", recorded.identity.pid));
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

fn report(mesh: &Mesh, name: &str) {
    let log = mesh.home.log(name);
    mesh.progress.say(&format!("{name} died; its last lines:\n{}\n  again: ./mesh start {name}", tool::excerpt(&log)));
}
