//! Running a program to its end (initdb, maven, the migrate job), its output in a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::home::ServerUser;
use crate::logs;

/// How many of the last log lines an error shows.
pub(crate) const SHOWN: usize = 15;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program to run.
pub(crate) struct Tool<'a> {
    /// What people call it.
    pub(crate) name: &'a str,
    /// The program.
    pub(crate) program: &'a Path,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Additions to our environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Who it runs as, if not as ourselves.
    pub(crate) user: Option<ServerUser>,
    /// Its working directory.
    pub(crate) dir: &'a Path,
    /// What it reads.
    pub(crate) input: &'a str,
}

impl Tool<'_> {
    /// Runs it; an error has the last lines of its output and names `log`, where all of it is.
    pub(crate) async fn run(self, log: &Path) -> Result<()> {
        let output = logs::append(log)?;
        let mut command = Command::new(self.program);
        command
            .args(&self.args)
            .envs(&self.env)
            .current_dir(self.dir)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut child = command.spawn().with_context(|| format!("cannot run {} ({})", self.name, self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not want its input may close it; its exit status says whether that was right.
            let _ = stdin.write_all(self.input.as_bytes()).await;
        }
        let status = child.wait().await?;
        if !status.success() {
            bail!("{} failed ({status}):\n{}", self.name, excerpt(log));
        }
        Ok(())
    }
}

/// The first line that a program prints, on stdout or else on stderr; none if it is not there, fails, or takes too long.
pub(crate) async fn first_line(program: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    output.status.success().then(|| String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}

/// The last lines of `log`, indented, and where the rest is.
pub(crate) fn excerpt(log: &Path) -> String {
    let mut text = String::new();
    for line in logs::tail(log, SHOWN) {
        text.push_str("    ");
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("    (it wrote nothing)\n");
    }
    format!("{text}  whole log: {}", log.display())
}
