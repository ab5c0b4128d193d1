//! Memory, disk and ports.

use std::path::Path;

use anyhow::Result;
use nix::sys::statvfs::statvfs;

use crate::doctor::{Check, Need};
use crate::machine::Machine;
use crate::mesh::{Mesh, names, ports_of};
use crate::state::State;
use crate::{ports, process};

/// What a mesh takes with its servers, in MiB; Kafka's heap comes on top.
const MEMORY_MB: u64 = 768;

/// What data, logs and a built checkout take, in MiB.
const DISK_MB: u64 = 2048;

/// Looks at memory, disk and ports.
pub(super) fn checks(mesh: &Mesh) -> Result<Vec<Check>> {
    let state = State::read(&mesh.home.state())?;
    let mut checks = vec![memory(mesh, &Machine::here(), state.any_alive()), disk(mesh.home.root())];
    checks.extend(ports(mesh, &state));
    Ok(checks)
}

fn memory(mesh: &Mesh, machine: &Machine, runs: bool) -> Check {
    let wanted = MEMORY_MB + u64::from(mesh.settings.kafka.heap_mb);
    match machine.available_memory_mb() {
        Some(free) if free < wanted && !runs => {
            let found = format!("{free} MiB available, a mesh takes {wanted}");
            Check::missing(Need::Always, "memory", found, "close something, or give Kafka less: MESH_KAFKA__HEAP_MB=128")
        }
        Some(free) => Check::ok(Need::Always, "memory", format!("{free} MiB available, a mesh takes {wanted}")),
        None => Check::ok(Need::Always, "memory", "unknown (/proc/meminfo cannot be read)"),
    }
}

fn disk(home: &Path) -> Check {
    let place = home.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let free = statvfs(place).map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()) / (1024 * 1024));
    match free {
        Ok(free) if free < DISK_MB => {
            let found = format!("{free} MiB free in {}, a mesh takes up to {DISK_MB}", place.display());
            Check::missing(Need::Always, "disk", found, "make room, or choose another folder with --home DIR")
        }
        Ok(free) => Check::ok(Need::Always, "disk", format!("{free} MiB free in {}, a mesh takes up to {DISK_MB}", place.display())),
        Err(error) => Check::ok(Need::Always, "disk", format!("unknown ({}: {error})", place.display())),
    }
}

/// One line for all ports that are free or our own, and one for each that somebody else holds.
fn ports(mesh: &Mesh, state: &State) -> Vec<Check> {
    let (ours, others): (Vec<&str>, Vec<&str>) = names().partition(|name| state.alive(name).is_some());
    let ours: usize = ours.iter().map(|name| ports_of(name, &mesh.ports).len()).sum();
    let wanted: Vec<(&str, u16)> = others.iter().flat_map(|name| ports_of(name, &mesh.ports)).collect();
    let (free, taken): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(_, port)| ports::is_free(*port));
    let held = if ours > 0 { format!(", {ours} held by this mesh") } else { String::new() };
    let mut checks = vec![Check::ok(Need::Always, "ports", format!("{} free{held}", free.len()))];
    checks.extend(taken.into_iter().map(|(key, port)| {
        let holder = process::listener(port).unwrap_or_else(|| "another process".to_owned());
        let way_out = format!("end that, choose another with MESH_PORTS__{}, or use --ephemeral-ports", key.to_uppercase());
        Check::missing(Need::Always, &format!("port {port}"), format!("for {key}, held by {holder}"), way_out)
    }));
    checks
}
