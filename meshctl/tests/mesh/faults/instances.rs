//! Services that run below the test, as below a supervisor: who dies is started again, and nobody waits for it.

use std::{
    collections::BTreeMap, convert::Infallible, fs::OpenOptions, future::pending, net::TcpListener, path::PathBuf, process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Client;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    diary::{COUNTERS, Diary},
    plan::{End, Twin},
};
use crate::running::{Mesh, within};

const ADMIN: &str = "THROUGHLINE_ADMIN__ADDRESS";
/// Short, so that what a dead consumer had goes to others within the run.
const SESSION: (&str, &str) = ("THROUGHLINE_KAFKA__SESSION_TIMEOUT_MS", "6000");
/// Pause before a service that ended by itself is started again.
const PAUSE: Duration = Duration::from_millis(500);
/// A service that is about to be killed gets this long to tell what it has counted.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A service that is asked to go finishes a batch and leaves its group.
const LEAVE: Duration = Duration::from_mins(1);

/// A service's program, and the environment that `meshctl env` tells.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    env: BTreeMap<String, String>,
    log: PathBuf,
    client: Client,
}

impl Service {
    /// Takes a service over from the mesh, which has started it.
    pub(crate) fn adopt(mesh: &Mesh, name: &'static str) -> Self {
        mesh.meshctl(&["stop", name]);
        let mut env: BTreeMap<String, String> = serde_json::from_str(&mesh.meshctl(&["env", name, "--json"])).unwrap();
        env.insert(SESSION.0.to_owned(), SESSION.1.to_owned());
        Self { name, env, log: mesh.home().join(format!("logs/{name}-below-test.log")), client: mesh.client.clone() }
    }

    /// A second instance of it.
    pub(crate) fn twin(&self) -> Self {
        let mut env = self.env.clone();
        // free now, and asked for at once
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        env.insert(ADMIN.to_owned(), port.to_string());
        Self { name: self.name, env, log: self.log.with_file_name(format!("{}-twin.log", self.name)), client: self.client.clone() }
    }

    pub(crate) fn spawn(&self) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let inherited = ["PATH", "HOME"].into_iter().filter_map(|key| Some((key, std::env::var(key).ok()?)));
        let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_meshctl")).with_file_name(self.name));
        command.env_clear().envs(inherited).envs(&self.env);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        command.spawn().unwrap()
    }

    fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.env[ADMIN])
    }

    pub(crate) async fn is_ready(&self) -> Result<(), String> {
        let answer = self.client.get(self.admin("/readyz")).send().await.map_err(|error| format!("{}: {error}", self.name))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("{} is not ready: {}", self.name, answer.status())) }
    }

    pub(crate) async fn ready(&self) {
        within(Duration::from_mins(3), || self.is_ready()).await;
    }

    /// Sums of its consumer's counters, where it still tells them.
    pub(crate) async fn counters(&self) -> Vec<(&'static str, f64)> {
        let asked = async { self.client.get(self.admin("/metrics")).send().await.ok()?.text().await.ok() };
        let Ok(Some(text)) = timeout(LAST_WORDS, asked).await else { return Vec::new() };
        COUNTERS.map(|name| (name, sum(&text, name))).into()
    }

    /// Keeps it running, for ever; kills it at the given moments.
    pub(crate) async fn keep(&self, mut child: Child, kills: &[Duration], diary: &Diary) -> Infallible {
        let mut kills = kills.iter().map(|after| diary.begun() + *after).peekable();
        loop {
            let moment = kills.peek().copied();
            let due = async {
                match moment {
                    Some(moment) => sleep_until(moment).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    kills.next();
                    self.slay(&mut child, diary).await;
                    diary.fault(&format!("kill -9 {}", self.name), Instant::now());
                }
                status = child.wait() => {
                    diary.surprise(&format!("{} ended by itself: {}", self.name, status.unwrap()));
                    sleep(PAUSE).await;
                }
            }
            child = self.spawn();
        }
    }

    /// SIGKILL, after a look at what it has counted.
    pub(crate) async fn slay(&self, child: &mut Child, diary: &Diary) {
        diary.add(&self.counters().await);
        child.kill().await.unwrap();
    }

    /// The life of a second instance: it joins, has partitions for a while, and goes.
    pub(crate) async fn visit(&self, twin: &Twin, stays: Duration, diary: &Diary) {
        sleep_until(diary.begun() + twin.at).await;
        let since = Instant::now();
        let second = self.twin();
        let mut child = second.spawn();
        tokio::select! {
            () = second.ready() => {}
            status = child.wait() => return diary.surprise(&format!("a second {} ended by itself: {}", self.name, status.unwrap())),
        }
        sleep(stays).await;
        let how = match twin.end {
            End::Asked => second.leave(&mut child, diary).await,
            End::Killed => {
                second.slay(&mut child, diary).await;
                "kill -9"
            }
        };
        diary.fault(&format!("second {} added and removed ({how})", self.name), since);
    }

    /// SIGTERM, and the end that it asks for.
    pub(crate) async fn leave(&self, child: &mut Child, diary: &Diary) -> &'static str {
        diary.add(&self.counters().await);
        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        match timeout(LEAVE, child.wait()).await {
            Ok(status) if status.as_ref().unwrap().success() => {}
            end => diary.surprise(&format!("{} was asked to stop: {end:?}", self.name)),
        }
        "stopped"
    }
}

/// The sum of a counter's samples.
fn sum(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
    samples.filter_map(|(_, value)| value.split(' ').next()?.parse::<f64>().ok()).sum()
}
