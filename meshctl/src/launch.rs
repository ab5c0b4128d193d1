//! Starting one process of the mesh: apart from us (a session of its own), its output in its log, and on record.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};

use crate::fingerprint;
use crate::home::ServerUser;
use crate::logs;
use crate::process::Identity;
use crate::state::{Recorded, boot_id};

/// What of our own environment a process of the mesh gets; the rest is decided by the settings alone.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TERM",
    "RUST_BACKTRACE",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Everything that is needed to start a process.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Its name in the mesh.
    pub(crate) name: &'static str,
    /// The program, as an absolute path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its environment over the inherited one.
    pub(crate) env: BTreeMap<String, String>,
    /// Who it runs as, if not as ourselves.
    pub(crate) user: Option<ServerUser>,
    /// Its working directory.
    pub(crate) dir: PathBuf,
}

impl Launch {
    /// Changes whenever the process should be started anew: other arguments, other settings, another build.
    pub(crate) fn fingerprint(&self) -> String {
        let build = std::fs::metadata(&self.program).ok().and_then(|meta| {
            let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some((meta.len(), modified))
        });
        fingerprint::of(format!("{:?} {:?} {:?} {build:?}", self.command(), self.env, self.user))
    }

    /// The whole environment of the process.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        inherited.chain(self.env.clone()).collect()
    }

    /// Program and arguments.
    pub(crate) fn command(&self) -> Vec<String> {
        std::iter::once(self.program.display().to_string()).chain(self.args.clone()).collect()
    }

    /// Starts the process in a session of its own, its output appended to a new `log`.
    pub(crate) fn spawn(&self, log: &Path) -> Result<Recorded> {
        self.check_program()?;
        logs::rotate(log)?;
        let output = logs::append(log)?;
        // setsid(1) does not fork here, since we do not make it lead a process group: the pid stays the same.
        let mut command = Command::new("setsid");
        command
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .envs(self.environment())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let child = command.spawn().with_context(|| format!("cannot start {} by setsid (util-linux)", self.name))?;
        self.record(child.id(), Some(log.to_owned()))
    }

    /// The record of the process `pid`, which was started from this.
    pub(crate) fn record(&self, pid: u32, log: Option<PathBuf>) -> Result<Recorded> {
        let identity = i32::try_from(pid).ok().and_then(Identity::of);
        let identity = identity.with_context(|| format!("{} ended at once", self.name))?;
        Ok(Recorded { identity, boot: boot_id(), command: self.command(), fingerprint: self.fingerprint(), log })
    }

    /// Fails with the way out if the program is not there.
    pub(crate) fn check_program(&self) -> Result<()> {
        if !self.program.is_file() {
            bail!("{} is not there: ./mesh up builds it (or cargo build --release --workspace)", self.program.display());
        }
        Ok(())
    }
}

/// The file called `name` in the folders of PATH.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::Life;

    fn launch(program: &str, args: &[&str]) -> Launch {
        Launch {
            name: "test",
            program: PathBuf::from(program),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
            user: None,
            dir: std::env::temp_dir(),
        }
    }

    #[test]
    fn a_process_runs_in_a_session_of_its_own_with_its_environment_and_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("test.log");
        let script = "echo $GREETING; echo oops >&2; ps -o sid= -p $$ | tr -d ' '; echo $$";
        let recorded = launch("/bin/sh", &["-c", script]).spawn(&log).unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while recorded.life() != Life::Gone && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = recorded.identity.pid.to_string();
        assert_eq!(logs::tail(&log, 9), ["hello", "oops", &pid, &pid]);
    }

    #[test]
    fn the_fingerprint_changes_with_the_settings() {
        let (a, mut b) = (launch("/bin/sh", &[]), launch("/bin/sh", &[]));
        assert_eq!(a.fingerprint(), b.fingerprint());
        b.env.insert("GREETING".to_owned(), "bye".to_owned());
        assert_ne!(a.fingerprint(), b.fingerprint());
    }

    #[test]
    fn a_missing_program_is_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let error = launch("/nonexistent/orders", &[]).spawn(&dir.path().join("log")).unwrap_err();
        assert!(error.to_string().contains("./mesh up builds it"), "{error}");
    }
}
