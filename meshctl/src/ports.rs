//! Finding free ports, and saying who has those that are not.

use std::fs::{DirBuilder, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::process::listener;
use crate::settings::Ports;

/// Ephemeral ports come in blocks of this many, so that two meshes collide on all or none.
const BLOCK: u16 = 32;

/// Where blocks start: above the registered ports in wide use ...
const LOWEST: u16 = 20_000;

/// ... and below the range from which Linux takes the local ports of outgoing connections (32768 by default).
const HIGHEST: u16 = 32_767;

const _: () = assert!(Ports::COUNT <= BLOCK);

/// Whether a server could listen on 127.0.0.1 at `port` now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// One sentence per port of `wanted` (key in the settings and number) that something else holds.
pub(crate) fn taken(wanted: &[(&'static str, u16)]) -> Vec<String> {
    let taken = wanted.iter().filter(|(_, port)| !is_free(*port));
    taken
        .map(|(key, port)| {
            let holder = listener(*port).unwrap_or_else(|| "another process".to_owned());
            format!(
                "port {port} for {key} is held by {holder}: end that, or choose another port with MESH_PORTS__{}=... \
                 (ports.{key} in a --config file)",
                key.to_uppercase()
            )
        })
        .collect()
}

/// A choice of ports that no other mesh is choosing at the same time, for as long as this value is kept.
pub(crate) struct Reservation {
    /// The ports.
    pub(crate) ports: Ports,
    _lock: File,
}

/// Chooses free ports for a whole mesh.
pub(crate) fn ephemeral() -> Result<Reservation> {
    let dir = std::env::temp_dir().join(format!("throughline-ports-{}", geteuid()));
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let blocks = (HIGHEST - LOWEST) / BLOCK;
    let first = rand::random_range(0..blocks);
    for block in (0..blocks).map(|offset| (first + offset) % blocks) {
        let path = dir.join(block.to_string());
        let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let ports = Ports::consecutive(LOWEST + block * BLOCK);
        if lock.try_lock().is_ok() && ports.entries().iter().all(|(_, port)| is_free(*port)) {
            return Ok(Reservation { ports, _lock: lock });
        }
    }
    bail!("no {} consecutive free ports between {LOWEST} and {HIGHEST}: stop a mesh that is not needed", Ports::COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_reported_with_its_holder_and_its_setting() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let found = taken(&[("gateway_admin", port)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains(&port.to_string()), "{found:?}");
        assert!(found[0].contains(&format!("pid {}", std::process::id())), "{found:?}");
        assert!(found[0].contains("MESH_PORTS__GATEWAY_ADMIN"), "{found:?}");
    }

    #[test]
    fn two_choices_at_the_same_time_share_no_port() {
        let (a, b) = (ephemeral().unwrap(), ephemeral().unwrap());
        let b = b.ports.entries();
        assert!(a.ports.entries().iter().all(|(_, port)| b.iter().all(|(_, other)| other != port)));
    }
}
