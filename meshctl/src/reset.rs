//! Wiping what a mesh keeps: data, logs, mails, passwords, certificates. Jars and class archives stay.

use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::failure::usage;
use crate::mesh::Mesh;
use crate::{down, prometheus, up};

/// Stops the mesh and removes its local data, after asking unless `yes`. Returns what was removed; `None` if the
/// answer was no.
pub(crate) async fn reset(mesh: &Mesh, yes: bool) -> Result<Option<Vec<PathBuf>>> {
    if !yes && !confirmed(mesh)? {
        return Ok(None);
    }
    let state = up::lock(mesh)?;
    down::down(mesh, &state).await?;
    let home = &mesh.home;
    let servers = ["postgres", "redis", "kafka", prometheus::NAME].map(|name| home.server(name));
    let paths = [home.logs(), home.mail(), home.certs(), home.secrets(), home.state()].into_iter().chain(servers);
    let mut removed = Vec::new();
    for path in paths.filter(|path| path.exists()) {
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.with_context(|| format!("cannot remove {}", path.display()))?;
        removed.push(path);
    }
    if home.servers() != home.root() && home.servers().exists() {
        fs::remove_dir_all(home.servers())?;
        removed.push(home.servers());
    }
    Ok(Some(removed))
}

fn confirmed(mesh: &Mesh) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(usage("reset asks before it wipes local data, and there is no terminal to ask on: say --yes"));
    }
    eprint!("Stop the mesh in {} and wipe its databases, topics, logs and mails? [y/N] ", mesh.home.root().display());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
