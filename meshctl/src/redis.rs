//! The mesh's own Redis: append-only file, bounded memory, nothing evicted.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::launch::{Launch, in_path};
use crate::machine;
use crate::mesh::Mesh;

/// The oldest that will do: the services use SET with XX and GET, GETEX, and ZRANGE with REV.
const OLDEST: (u32, u32) = (6, 2);
/// How to get one that will.
pub(crate) const WAY_OUT: &str = "Debian 12 and Ubuntu 24.04 have a newer one, https://packages.redis.io has it for older releases; \
    the first redis-server in PATH is taken";

/// Connection URL.
pub(crate) fn url(mesh: &Mesh) -> String {
    format!("redis://127.0.0.1:{}", mesh.ports.redis)
}

/// How the server is started; everything is on its command line, so it needs no configuration file.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    let program = in_path("redis-server").context("no redis-server in PATH: install the package redis-server")?;
    refuse_old(&program, &version(&program)?)?;
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

fn refuse_old(program: &Path, told: &str) -> Result<()> {
    if is_too_old(told) {
        bail!("{} is {told}, and 6.2 or newer is needed: {WAY_OUT}", program.display());
    }
    Ok(())
}

/// What the server says of its version: `Redis server v=7.0.15`.
fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split(" sha=").next().unwrap_or_default().trim().to_owned())
}

/// Whether it lacks what the services use. One that does not tell its version in the usual way may have it.
pub(crate) fn is_too_old(told: &str) -> bool {
    told.split_once("v=").and_then(|(_, release)| machine::version(release)).is_some_and(|version| version < OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_redis_is_refused_with_the_way_out() {
        let refuse = |told| refuse_old(Path::new("/usr/bin/redis-server"), told);
        assert!(refuse("Redis server v=7.0.15").is_ok());
        let told = refuse("Redis server v=6.0.16").unwrap_err().to_string();
        assert!(told.starts_with("/usr/bin/redis-server is Redis server v=6.0.16, and 6.2 or newer is needed: Debian 12"), "{told}");
    }

    #[test]
    fn a_redis_from_6_2_on_will_do() {
        for (told, too_old) in [
            ("Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=a3fdef44459b3ad6", true),
            ("Redis server v=5.0.14", true),
            ("Redis server v=6.2.0", false),
            ("Redis server v=7.0.15 sha=00000000:0", false),
            ("Redis server v=10.0.0", false),
            ("Valkey server v=8.0.1", false),
            ("a server of another kind", false),
        ] {
            assert_eq!(is_too_old(told), too_old, "{told}");
        }
    }
}
