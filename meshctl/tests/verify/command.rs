//! `meshctl verify` as a process.

use std::process::{ExitStatus, Output};

use meshctl::backend::RunningBackend;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// What a command ended with.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The defects of a report, as `name: place`.
    pub(crate) fn defects(&self) -> Vec<String> {
        let json = self.json();
        let rows = json["defects"].as_array().unwrap().iter();
        rows.map(|row| format!("{}: {}", row["defect"].as_str().unwrap(), row["place"].as_str().unwrap())).collect()
    }
}

/// The command line, with a home that no mesh ever used.
pub(crate) fn command(home: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
    command.arg("verify").args(arguments).arg("--home").arg(home.path()).kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESH_") || name == "VERIFY_PASSWORD") {
        command.env_remove(name);
    }
    command
}

pub(crate) fn home() -> TempDir {
    tempfile::Builder::new().prefix("verify").tempdir().unwrap()
}

/// Runs `meshctl verify ARGUMENTS`.
pub(crate) async fn verify(arguments: &[&str]) -> Ended {
    let Output { status, stdout, stderr } = command(&home(), arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status, stdout: text(stdout), stderr: text(stderr) }
}

pub(crate) fn jaeger(backend: &RunningBackend) -> String {
    format!("--backend=jaeger=http://{}", backend.page_address)
}

pub(crate) fn tempo(backend: &RunningBackend) -> String {
    format!("--backend=tempo=http://{}/tempo", backend.page_address)
}
