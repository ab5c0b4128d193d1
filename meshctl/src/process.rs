//! Processes as `/proc` knows them. A process is a pid together with the time it started: a pid alone may by now
//! belong to somebody else, and is never signalled.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How often a condition on a process is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// What `/proc` counts time in: `USER_HZ` is 100 on every Linux (time(7)).
const TICK: Duration = Duration::from_millis(10);

/// One process, for as long as the machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Process id.
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from boot to the start of the process.
    pub(crate) start_time: u64,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs or waits.
    Running,
    /// It was stopped by a signal and can be continued.
    Paused,
    /// It is gone, or only its exit status is left.
    Gone,
}

/// How a process ended when it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was not there any more.
    Already,
    /// By itself, within the deadline.
    Itself,
    /// It had to be killed.
    Killed,
}

struct Stat {
    state: char,
    parent: i32,
    /// In user and in system mode, in ticks.
    used: u64,
    start_time: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program (field 2) may hold blanks and parentheses: count from the last one.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let (user, system): (u64, u64) = (fields.nth(9)?.parse().ok()?, fields.next()?.parse().ok()?);
    let start_time = fields.nth(6)?.parse().ok()?;
    Some(Stat { state, parent, used: user + system, start_time })
}

impl Identity {
    /// The process that has `pid` now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start_time: stat(pid)?.start_time })
    }

    /// The processor time that it has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        stat(self.pid)
            .filter(|stat| stat.start_time == self.start_time)
            .map_or(Duration::ZERO, |stat| TICK.saturating_mul(u32::try_from(stat.used).unwrap_or(u32::MAX)))
    }

    /// Whether this very process is there, and what it does.
    pub(crate) fn life(&self) -> Life {
        match stat(self.pid) {
            Some(stat) if stat.start_time == self.start_time => match stat.state {
                'Z' | 'X' | 'x' => Life::Gone,
                'T' | 't' => Life::Paused,
                _ => Life::Running,
            },
            _ => Life::Gone,
        }
    }

    /// Takes the exit status of a child of ours that has ended; without that its pid would stay in use. Nothing happens
    /// to anybody else's child.
    pub(crate) fn reap(&self) {
        if self.life() == Life::Gone {
            let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
        }
    }

    /// Waits until even the exit status is gone: until then, Postgres takes its pid in a lock file for a live server.
    pub(crate) async fn vanished(&self, deadline: Duration) -> bool {
        self.reap();
        until(deadline, || Identity::of(self.pid) != Some(*self)).await
    }

    /// Sends `signal` to the process and everything below it until none of them is in `life` any more: a child may be
    /// born while we look. False if some still are after `deadline`.
    pub(crate) async fn drive_out(&self, life: Life, signal: Signal, deadline: Duration) -> bool {
        until(deadline, || {
            let mut all = self.descendants();
            all.push(*self);
            let still: Vec<&Identity> = all.iter().filter(|process| process.life() == life).collect();
            for process in &still {
                process.signal(signal);
            }
            still.is_empty()
        })
        .await
    }

    /// Whether it is there, running or paused.
    pub(crate) fn is_alive(&self) -> bool {
        self.life() != Life::Gone
    }

    /// Sends `signal` to this process; false if it is gone (also when its pid now belongs to another one).
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.is_alive()
            && match kill(Pid::from_raw(self.pid), signal) {
                Err(Errno::EPERM) => signal_by_sudo(self.pid, signal),
                sent => sent.is_ok(),
            }
    }

    /// Its children, their children and so on.
    pub(crate) fn descendants(&self) -> Vec<Identity> {
        let all: Vec<(Identity, i32)> =
            pids().filter_map(|pid| stat(pid).map(|stat| (Identity { pid, start_time: stat.start_time }, stat.parent))).collect();
        let mut found = vec![*self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(all.iter().filter(|(child, of)| *of == parent.pid && child.pid != self.pid).map(|(c, _)| *c));
            next += 1;
        }
        found.split_off(1)
    }

    /// Sends `signal` to the process and to everything below it; false if the process is gone.
    pub(crate) fn signal_all(&self, signal: Signal) -> bool {
        let below = self.descendants();
        let sent = self.signal(signal);
        for child in below {
            child.signal(signal);
        }
        sent
    }

    /// Asks the process to end by `signal` (continuing it first if it is paused) and waits until it and everything
    /// below it is gone; kills what is left after `deadline`.
    pub(crate) async fn end(&self, signal: Signal, deadline: Duration) -> Ended {
        if !self.is_alive() {
            return Ended::Already;
        }
        let mut all = self.descendants();
        all.push(*self);
        self.signal_all(Signal::SIGCONT);
        self.signal(signal);
        if all_gone(&all, deadline).await {
            return Ended::Itself;
        }
        all.extend(self.descendants());
        for process in &all {
            process.signal(Signal::SIGKILL);
        }
        all_gone(&all, deadline).await;
        self.vanished(deadline).await;
        Ended::Killed
    }
}

/// Whether all of `processes` were gone before the deadline.
pub(crate) async fn all_gone(processes: &[Identity], deadline: Duration) -> bool {
    until(deadline, || processes.iter().all(|process| !process.is_alive())).await
}

/// Whether `condition` held before the deadline.
async fn until(deadline: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// For what we have started by sudo and may not signal ourselves.
fn signal_by_sudo(pid: i32, signal: Signal) -> bool {
    let (signal, pid) = (format!("-{}", signal as i32), pid.to_string());
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "kill", &signal, &pid]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

fn pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The process that listens on the TCP `port`, as `name (pid N)`, where `/proc` lets us see it.
pub(crate) fn listener(port: u16) -> Option<String> {
    let inode = listening_inode(port)?;
    let socket = format!("socket:[{inode}]");
    let pid = pids().find(|pid| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.map(|fd| std::fs::read_link(fd.path())).any(|link| link.is_ok_and(|link| link.as_os_str() == socket.as_str()))
    })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

fn listening_inode(port: u16) -> Option<String> {
    /// State `LISTEN` in `/proc/net/tcp`.
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else { return None };
            (local.ends_with(&suffix) && *state == LISTEN).then(|| (*inode).to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (std::process::Child, Identity) {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        (child, identity)
    }

    #[tokio::test]
    async fn a_pid_with_another_start_time_is_never_signalled() {
        let (mut child, identity) = sleeper();
        let stranger = Identity { start_time: identity.start_time + 1, ..identity };
        assert_eq!(stranger.life(), Life::Gone);
        assert!(!stranger.signal(Signal::SIGKILL));
        assert_eq!(stranger.end(Signal::SIGTERM, Duration::from_secs(5)).await, Ended::Already);
        assert_eq!(identity.life(), Life::Running);
        assert_eq!(identity.end(Signal::SIGTERM, Duration::from_secs(5)).await, Ended::Itself);
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_paused_process_ends_without_being_killed() {
        let (mut child, identity) = sleeper();
        assert!(identity.drive_out(Life::Running, Signal::SIGSTOP, Duration::from_secs(5)).await);
        assert_eq!(identity.life(), Life::Paused);
        assert_eq!(identity.end(Signal::SIGTERM, Duration::from_secs(5)).await, Ended::Itself);
        child.wait().unwrap();
    }

    #[test]
    fn children_of_children_are_found() {
        let mut child = Command::new("sh").args(["-c", "sh -c 'sleep 600 & echo up; wait' & wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        let below = identity.descendants();
        assert_eq!(below.len(), 2, "{below:?}");
        identity.signal_all(Signal::SIGKILL);
        child.wait().unwrap();
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = listener(socket.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
    }
}
