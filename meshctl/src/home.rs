//! The folder in which a mesh keeps everything it owns, and the user its servers run as.
//!
//! Two meshes with different homes (and ports) run side by side.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User, geteuid};

use crate::fingerprint;

/// Unprivileged account for the three servers when the launcher runs as root; Debian's postgresql package makes it.
pub(crate) const SERVER_USER: &str = "postgres";

/// Where server data goes when [`SERVER_USER`] cannot reach the home (a home under `/root`).
const FALLBACK: &str = "/var/lib/throughline";

/// How the folders with the broker's jars begin; what follows stands for the pom.
pub(crate) const LIBS: &str = "libs-";

/// Uid and gid of the account that the servers run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUser {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
}

/// Paths of one mesh.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
    repository: PathBuf,
    user: Option<ServerUser>,
}

impl Home {
    /// The home at `root`, whether it exists or not. `repository` is the folder with the `./mesh` script.
    pub(crate) fn at(root: &Path, repository: &Path) -> Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("the home {} is no path", root.display()))?;
        Ok(Self { root, repository: repository.to_owned(), user: server_user() })
    }

    /// Makes the folders; the home itself can be passed by the servers' user but not listed.
    pub(crate) fn create(&self) -> Result<()> {
        if geteuid().is_root() && self.user.is_none() {
            bail!(
                "servers never run as root, and there is no user `{SERVER_USER}` to run them as: install the package \
                 postgresql, or run ./mesh as an ordinary user"
            );
        }
        for dir in [&self.root, &self.logs(), &self.mail()] {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        if self.user.is_some() && fs::metadata(&self.root)?.uid() == geteuid().as_raw() {
            let mode = fs::metadata(&self.root)?.mode();
            fs::set_permissions(&self.root, fs::Permissions::from_mode(mode & 0o7777 | 0o011))?;
        }
        Ok(())
    }

    /// The home itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with the `./mesh` script.
    pub(crate) fn repository(&self) -> &Path {
        &self.repository
    }

    /// Who the servers run as: nobody else than ourselves unless we are root.
    pub(crate) fn user(&self) -> Option<ServerUser> {
        self.user
    }

    /// Logs, one file per process; the run before is `NAME.log.1`.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log file of `name`.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Mails that `notification` "sent".
    pub(crate) fn mail(&self) -> PathBuf {
        self.root.join("mail")
    }

    /// What runs: pids, start times, ports.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Generated passwords, mode 0600.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets.json")
    }

    /// Certificates and keys for TLS.
    pub(crate) fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// Held while a command changes what runs.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Folder of a server's data (`postgres`, `redis`, `kafka`), not necessarily existing.
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        self.servers().join(name)
    }

    /// Parent of the servers' folders: the home, or a folder under `/var/lib` that their user can reach.
    pub(crate) fn servers(&self) -> PathBuf {
        let reachable = self.root.parent().is_none_or(|parent| self.reachable(parent));
        if reachable { self.root.clone() } else { Path::new(FALLBACK).join(self.hash()) }
    }

    /// Makes the folder of a server, owned by the servers' user, closed to others.
    pub(crate) fn create_server(&self, name: &str) -> Result<PathBuf> {
        let dir = self.server(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        if self.servers() != self.root {
            fs::write(self.servers().join("home"), format!("{}\n", self.root.display()))?;
        }
        self.give(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        Ok(dir)
    }

    /// Gives `path` to the servers' user, where that is another one than ourselves.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        chown(path, Some(user.uid), Some(user.gid)).with_context(|| format!("cannot chown {}", path.display()))
    }

    /// Folder for the broker's jars, shared by all homes.
    pub(crate) fn kafka_cache(&self, configured: &str) -> PathBuf {
        if !configured.is_empty() {
            return PathBuf::from(configured);
        }
        let shared = self.repository.join(".mesh/cache/kafka");
        if !self.reachable(&self.repository) {
            Path::new(FALLBACK).join("cache/kafka")
        } else if is_filled(&shared) || (fs::create_dir_all(&shared).is_ok() && writable(&shared)) {
            shared
        } else {
            self.root.join("cache/kafka")
        }
    }

    /// 16 hex digits that stand for this home.
    pub(crate) fn hash(&self) -> String {
        fingerprint::of(self.root.as_os_str().as_encoded_bytes())
    }

    /// Whether the servers' user may pass every folder down to `path` (those that do not exist yet would be ours).
    fn reachable(&self, path: &Path) -> bool {
        let Some(user) = self.user else { return true };
        path.ancestors().filter_map(|dir| fs::metadata(dir).ok()).all(|meta| {
            let bit = match (meta.uid() == user.uid, meta.gid() == user.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            meta.mode() & bit != 0
        })
    }
}

/// Whether another user has got the jars already: then it need not be writable for us.
fn is_filled(cache: &Path) -> bool {
    let is_libs = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with(LIBS) && entry.path().is_dir();
    fs::read_dir(cache).is_ok_and(|entries| entries.flatten().any(is_libs))
}

fn writable(dir: &Path) -> bool {
    let probe = dir.join(format!(".writable{}", std::process::id()));
    fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).is_ok()
}

fn server_user() -> Option<ServerUser> {
    if geteuid() != Uid::from_raw(0) {
        return None;
    }
    let user = User::from_name(SERVER_USER).ok().flatten()?;
    Some(ServerUser { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_do_not_share_anything() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let (a, b) = (Home::at(&a, dir.path()).unwrap(), Home::at(&b, dir.path()).unwrap());
        assert_ne!(a.hash(), b.hash());
        assert_ne!(a.server("postgres"), b.server("postgres"));
        assert!(a.log("orders").ends_with("a/logs/orders.log"));
    }

    #[test]
    fn a_closed_parent_folder_moves_server_data_out_of_the_home() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut home = Home::at(&dir.path().join("home"), dir.path()).unwrap();
        home.user = Some(ServerUser { uid: 4_000_001, gid: 4_000_001 });
        assert!(home.servers().starts_with(FALLBACK));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(home.servers(), home.root());
    }
}
