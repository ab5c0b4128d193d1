//! Stopping a mesh: those that are asked first, so that each can finish with what it still needs.

use anyhow::Result;
use futures::future::join_all;

use crate::control::{self, Stopped};
use crate::mesh::Mesh;
use crate::scenario;
use crate::state::LockedState;

/// Who stops when: a group stops together, after the groups before it. Services and
/// OBI flush their last spans to the backend, so it goes after all of them.
const GROUPS: [&[&str]; 6] = [
    &["gateway"],
    &["orders", "auth"],
    &["catalog-cache", "dispatch", "notification", "analytics"],
    &["obi"],
    &["backend", "prometheus"],
    &["kafka", "redis", "postgres"],
];

/// Stops everything that is recorded, and nothing else; returns what was stopped, in order. Scenarios that are on end with it.
pub(crate) async fn down(mesh: &Mesh, state: &LockedState) -> Result<Vec<Stopped>> {
    let mut stopped = Vec::new();
    for group in GROUPS {
        let recorded = state.get().processes;
        let names = group.iter().filter(|name| recorded.contains_key(**name));
        for result in join_all(names.map(|name| stop(mesh, state, name))).await {
            stopped.push(result?);
        }
    }
    scenario::forget(mesh)?;
    Ok(stopped)
}

async fn stop(mesh: &Mesh, state: &LockedState, name: &str) -> Result<Stopped> {
    let step = mesh.progress.step(name, "stopping");
    let result = control::stop(mesh, state, name).await;
    match &result {
        Ok(stopped) => step.done(stopped.how),
        Err(_) => step.failed(),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_starts_is_stopped() {
        let mut stopped: Vec<&str> = GROUPS.iter().flat_map(|group| group.iter().copied()).collect();
        let mut started: Vec<&str> = crate::mesh::names().collect();
        stopped.sort_unstable();
        started.sort_unstable();
        assert_eq!(stopped, started);
    }
}
