//! The mesh's own Postgres: a private cluster on a private port, with the database `throughline` in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::launch::{Launch, in_path};
use crate::mesh::Mesh;
use crate::progress::Step;
use crate::secrets::{Secrets, write_private};
use crate::tool::Tool;

/// The superuser of the cluster.
pub(crate) const ADMIN: &str = "throughline_admin";

/// The one database.
pub(crate) const DATABASE: &str = "throughline";

/// Longest path of a Unix socket, in bytes (`sun_path` in unix(7), without the final NUL).
const SOCKET_LIMIT: usize = 107;

/// Connection URL of `role`.
pub(crate) fn url(mesh: &Mesh, role: &str, password: &str) -> String {
    format!("postgres://{role}:{password}@127.0.0.1:{}/{DATABASE}", mesh.ports.postgres)
}

/// Folder with `initdb` and `postgres`.
pub(crate) fn bin_dir(configured: &str) -> Result<PathBuf> {
    let has_server = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    let mut candidates = Vec::new();
    if configured.is_empty() {
        candidates.extend(in_path("initdb").and_then(|file| Some(file.parent()?.to_owned())));
        candidates.extend(pg_config());
        candidates.extend(debian_versions());
    } else {
        candidates.push(PathBuf::from(configured));
    }
    candidates.into_iter().find(has_server).with_context(|| {
        format!(
            "no Postgres server programs (initdb, postgres) in {}: install the package postgresql, or set \
             MESH_POSTGRES__BIN_DIR to their folder",
            if configured.is_empty() { "PATH and /usr/lib/postgresql/*/bin" } else { configured }
        )
    })
}

fn pg_config() -> Option<PathBuf> {
    let output = std::process::Command::new(in_path("pg_config")?).arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Debian keeps several major versions beside each other: the newest first.
fn debian_versions() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

/// The version of the cluster's data must be that of the server, so a cluster keeps to the programs that made it.
fn programs(mesh: &Mesh) -> Result<PathBuf> {
    let made_with = fs::read_to_string(data(mesh).join("PG_VERSION")).ok();
    let same = made_with.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{}/bin", version.trim())));
    match same.filter(|dir| mesh.settings.postgres.bin_dir.is_empty() && dir.join("postgres").is_file()) {
        Some(dir) => Ok(dir),
        None => bin_dir(&mesh.settings.postgres.bin_dir),
    }
}

fn data(mesh: &Mesh) -> PathBuf {
    mesh.home.server("postgres").join("data")
}

/// Makes the cluster and its database, once. They appear whole or not at all: an interrupted attempt starts over.
pub(crate) async fn prepare(mesh: &Mesh, secrets: &Secrets, step: &Step) -> Result<()> {
    let dir = mesh.home.create_server("postgres")?;
    if data(mesh).exists() {
        return Ok(());
    }
    step.doing("creating the database cluster");
    let (new, password) = (dir.join("data.new"), dir.join("admin.password"));
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    write_private(&password, &secrets.admin)?;
    mesh.home.give(&password)?;
    let made = initialize(mesh, &dir, &new, &password).await;
    fs::remove_file(&password)?;
    made?;
    fs::rename(&new, data(mesh))?;
    Ok(())
}

async fn initialize(mesh: &Mesh, dir: &Path, new: &Path, password: &Path) -> Result<()> {
    let bin = bin_dir(&mesh.settings.postgres.bin_dir)?;
    let log = mesh.home.log("postgres-setup");
    let tool = |name: &'static str| Tool {
        name,
        program: Path::new(""),
        args: Vec::new(),
        env: BTreeMap::new(),
        user: mesh.home.user(),
        dir,
        input: "",
    };
    let args = [
        format!("--pgdata={}", new.display()),
        format!("--username={ADMIN}"),
        format!("--pwfile={}", password.display()),
        "--auth=scram-sha-256".to_owned(),
        "--encoding=UTF8".to_owned(),
        "--locale=C".to_owned(),
    ];
    Tool { program: &bin.join("initdb"), args: args.to_vec(), ..tool("initdb") }.run(&log).await?;
    let args = ["--single".to_owned(), "-D".to_owned(), new.display().to_string(), "postgres".to_owned()];
    let input = format!("CREATE DATABASE {DATABASE}\n");
    let create = Tool { program: &bin.join("postgres"), args: args.to_vec(), input: &input, ..tool("create database") };
    create.run(&log).await
}

/// How the server is started. What makes data durable is left at its defaults.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    let dir = mesh.home.server("postgres");
    let socket = dir.join(format!(".s.PGSQL.{}", mesh.ports.postgres));
    let sockets = if socket.as_os_str().len() <= SOCKET_LIMIT { dir.display().to_string() } else { String::new() };
    let options = [
        format!("port={}", mesh.ports.postgres),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={sockets}"),
        format!("max_connections={}", mesh.settings.postgres.max_connections),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "log_line_prefix=%m [%p] %q%u@%d ".to_owned(),
        "cluster_name=throughline".to_owned(),
    ];
    let mut args = vec!["-D".to_owned(), data(mesh).display().to_string()];
    args.extend(options.into_iter().flat_map(|option| ["-c".to_owned(), option]));
    Ok(Launch { name: "postgres", program: programs(mesh)?.join("postgres"), args, env: BTreeMap::new(), user: mesh.home.user(), dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_folder_for_the_programs_is_named_with_the_way_out() {
        let error = bin_dir("/nonexistent/bin").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/bin") && error.contains("MESH_POSTGRES__BIN_DIR"), "{error}");
    }
}
