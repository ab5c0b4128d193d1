//! Consumers that die in the middle of what they drain.

use std::time::Duration;

use tokio::process::Child;

use super::{
    diary::{COUNTERS, Diary},
    goods::{self, Rollups},
    instances::Service,
    wire::Wire,
};
use crate::{
    running::{Mesh, within},
    truth::Truth,
};

const BACKLOG: usize = 20_000;
const LIMIT: Duration = Duration::from_mins(5);

/// Kills a service when `progress` has come to each of these numbers, and starts it again each time.
async fn kill_at(marks: &[i64], service: &Service, diary: &Diary, progress: impl AsyncFn() -> Result<i64, String>) -> Child {
    let mut child = service.spawn();
    for mark in marks {
        within(LIMIT, || async {
            let done = progress().await?;
            if done >= *mark { Ok(()) } else { Err(format!("{} has done {done} of {mark}", service.name)) }
        })
        .await;
        service.slay(&mut child, diary).await;
        child = service.spawn();
    }
    child
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[tokio::test]
async fn dispatch_and_analytics_killed_in_the_middle_of_batches_repeat_no_effect() {
    let mesh = Mesh::start_with(&["--no-demo-order", "--telemetry", "off"], &[]);
    let services = ["dispatch", "analytics"].map(|name| Service::adopt(&mesh, name));
    // mails are another story, and many files
    mesh.meshctl(&["stop", "notification"]);
    let (wire, truth, diary) = (Wire::of(&mesh), Truth::of(&mesh).await, Diary::begin());
    goods::send(&wire, 0..BACKLOG);
    let all = i64::try_from(BACKLOG).unwrap();
    let marks = [all / 10, all / 2, all * 4 / 5];
    let committed = async || wire.lag("dispatch").map(|lag| all - lag).map_err(|error| error.to_string());
    let counted = async || Ok(goods::counted(&truth).await);
    let (_dispatch, _analytics) =
        tokio::join!(kill_at(&marks, &services[0], &diary, committed), kill_at(&marks, &services[1], &diary, counted),);
    within(LIMIT, || async {
        let waiting = ["dispatch", "analytics"].map(|group| wire.lag(group));
        if waiting.iter().all(|lag| matches!(lag, Ok(0))) { Ok(()) } else { Err(format!("{waiting:?}")) }
    })
    .await;
    diary.add(&services[1].counters().await);

    assert_eq!(Rollups::found(&mesh, &truth).await, Rollups::of(0..BACKLOG));
    let (facts, notices) = (wire.told("analytics"), wire.told("notifications"));
    assert_eq!((facts.events.len(), notices.events.len()), (BACKLOG, BACKLOG));
    let recognised = diary.counted(COUNTERS[0]);
    println!(
        "{} facts and {} notices came twice; analytics has recognised at least {recognised} repeats",
        facts.duplicates(),
        notices.duplicates()
    );
    assert!(facts.duplicates() > 0, "dispatch was not killed in the middle of a batch");
    assert_eq!(wire.count("dlq"), 0);
}
