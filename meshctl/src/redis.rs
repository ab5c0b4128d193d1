//! The mesh's own Redis: append-only file, bounded memory, nothing evicted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::launch::{Launch, in_path};
use crate::mesh::Mesh;

/// Connection URL.
pub(crate) fn url(mesh: &Mesh) -> String {
    format!("redis://127.0.0.1:{}", mesh.ports.redis)
}

/// How the server is started; everything is on its command line, so it needs no configuration file.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    let program = in_path("redis-server").context("no redis-server in PATH: install the package redis-server")?;
    let dir = mesh.home.server("redis");
    let options = [
        ("--bind", "127.0.0.1".to_owned()),
        ("--port", mesh.ports.redis.to_string()),
        ("--dir", dir.display().to_string()),
        ("--daemonize", "no".to_owned()),
        ("--save", String::new()),
        ("--appendonly", "yes".to_owned()),
        ("--appendfsync", "everysec".to_owned()),
        ("--maxmemory", mesh.settings.redis.maxmemory.clone()),
        ("--maxmemory-policy", "noeviction".to_owned()),
    ];
    Ok(Launch {
        name: "redis",
        program,
        args: options.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect(),
        env: BTreeMap::new(),
        user: mesh.home.user(),
        dir,
    })
}
