//! What runs, on disk: `state.json` in the home, replaced as a whole, and the lock that keeps two commands apart.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process::{Identity, Life};
use crate::secrets::write_private;
use crate::settings::Ports;

/// A process that the launcher started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// Which process.
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// The boot in which the start time counts (`/proc/sys/kernel/random/boot_id`).
    pub(crate) boot: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Stands for program, arguments, environment and user: when it changes, the process is started anew.
    pub(crate) fingerprint: String,
    /// Where its output goes; absent for one that `run` has in the foreground.
    pub(crate) log: Option<PathBuf>,
}

impl Recorded {
    /// What the process does now. One recorded before the last boot is gone, whoever has its pid.
    pub(crate) fn life(&self) -> Life {
        if self.boot == boot_id() { self.identity.life() } else { Life::Gone }
    }
}

/// The content of `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The ports of the last start.
    pub(crate) ports: Option<Ports>,
    /// Whether those were chosen by `--ephemeral-ports`.
    pub(crate) ephemeral: bool,
    /// What `up --telemetry` chose, for as long as anything runs.
    #[serde(default)]
    pub(crate) telemetry: Option<String>,
    /// `tls.mode` of the last start.
    #[serde(default)]
    pub(crate) tls: Option<String>,
    /// The OBI whose spans of every service have arrived.
    #[serde(default)]
    pub(crate) seeing: Option<Identity>,
    /// Recorded processes by name.
    pub(crate) processes: BTreeMap<String, Recorded>,
    /// Trace id of the last demo order.
    pub(crate) trace_id: Option<String>,
}

impl State {
    /// Reads the state at `path`; that of a mesh never started is empty.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged: stop what it started by hand, then remove it", path.display())),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(err) => Err(err).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The recorded process called `name`, if it is still there.
    pub(crate) fn alive(&self, name: &str) -> Option<&Recorded> {
        self.processes.get(name).filter(|recorded| recorded.life() != Life::Gone)
    }

    /// Whether anything recorded is still there.
    pub(crate) fn any_alive(&self) -> bool {
        self.processes.keys().any(|name| self.alive(name).is_some())
    }
}

/// The state of a mesh that this command may change: it holds the mesh's lock until it is dropped.
pub(crate) struct LockedState {
    path: PathBuf,
    state: Mutex<State>,
    _lock: File,
}

impl LockedState {
    /// Takes the lock at `lock`, waiting while another command has it (`waiting` is told once), and reads the state.
    pub(crate) fn open(path: &Path, lock: &Path, waiting: impl FnOnce()) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock)
            .with_context(|| format!("cannot open {}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().with_context(|| format!("cannot lock {}", lock.display()))?;
            }
            Err(TryLockError::Error(err)) => {
                return Err(err).with_context(|| format!("cannot lock {}", lock.display()));
            }
        }
        Ok(Self { path: path.to_owned(), state: Mutex::new(State::read(path)?), _lock: file })
    }

    /// A copy of the state.
    pub(crate) fn get(&self) -> State {
        self.guard().clone()
    }

    /// Changes the state and writes it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.guard();
        change(&mut state);
        let text = serde_json::to_string_pretty(&*state)?;
        write_private(&self.path, &text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn guard(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names this boot of the machine; empty where the kernel does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ourselves() -> Recorded {
        Recorded {
            identity: Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap(),
            boot: boot_id(),
            command: vec!["test".to_owned()],
            fingerprint: String::new(),
            log: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock) = (dir.path().join("state.json"), dir.path().join("lock"));
        let state = LockedState::open(&path, &lock, || {}).unwrap();
        state.change(|state| drop(state.processes.insert("orders".to_owned(), ourselves()))).unwrap();
        assert_eq!(State::read(&path).unwrap(), state.get());
        assert!(State::read(&path).unwrap().alive("orders").is_some());
    }

    #[test]
    fn a_process_of_another_boot_or_start_time_is_gone() {
        let mut before = ourselves();
        before.boot = "another".to_owned();
        assert_eq!(before.life(), Life::Gone);
        let mut reused = ourselves();
        reused.identity.start_time += 1;
        assert_eq!(reused.life(), Life::Gone);
        assert_eq!(ourselves().life(), Life::Running);
    }

    #[test]
    fn a_second_command_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock) = (dir.path().join("state.json"), dir.path().join("lock"));
        let first = LockedState::open(&path, &lock, || {}).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            let state = LockedState::open(&path, &lock, || told.send(()).unwrap()).unwrap();
            state.get().processes.len()
        });
        heard.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
        first.change(|state| drop(state.processes.insert("orders".to_owned(), ourselves()))).unwrap();
        drop(first);
        assert_eq!(second.join().unwrap(), 1);
    }
}
