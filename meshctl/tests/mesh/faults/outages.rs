//! Servers that go away for a while.

use tokio::{
    process::Command,
    time::{Instant, sleep, sleep_until},
};

use super::{
    diary::Diary,
    plan::{Outage, Way},
};
use crate::running::Mesh;

/// Brings them about, one after the other.
pub(crate) async fn happen(mesh: &Mesh, outages: &[Outage], diary: &Diary) {
    for outage in outages {
        sleep_until(diary.begun() + outage.at).await;
        let since = Instant::now();
        let (server, seconds) = (outage.server, outage.lasts.as_secs());
        let what = match outage.way {
            Way::Stopped => {
                meshctl(mesh, &["stop", server]).await;
                sleep(outage.lasts).await;
                meshctl(mesh, &["start", server]).await;
                format!("{server} stopped, {seconds} s later started")
            }
            Way::Paused => {
                meshctl(mesh, &["kill", server, "--signal", "STOP"]).await;
                sleep(outage.lasts).await;
                meshctl(mesh, &["kill", server, "--signal", "CONT"]).await;
                format!("{server} paused for {seconds} s (SIGSTOP)")
            }
        };
        diary.fault(&what, since);
    }
}

async fn meshctl(mesh: &Mesh, arguments: &[&str]) {
    let output = Command::from(mesh.command(arguments)).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
