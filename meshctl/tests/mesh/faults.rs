//! Everything falls over at random moments while orders are placed. Afterwards nothing is lost, and nothing was done twice:
//! docs/faults.md.

mod backlog;
mod books;
mod crowd;
mod diary;
pub(crate) mod goods;
mod instances;
mod outages;
mod plan;
mod report;
mod stores;
pub(crate) mod wire;

use std::time::Duration;

use futures::future::{join_all, select_all};
use tokio::time::Instant;

use crate::running::Mesh;
use books::Books;
use crowd::{Crowd, Placed};
use diary::Diary;
use instances::Service;
#[cfg(feature = "full")]
use plan::End::Asked;
use plan::{End::Killed, Plan, Scale, VICTIMS};
use report::Report;

const SHORT: Scale = Scale {
    name: "short",
    span: Duration::from_secs(20),
    rate: 100,
    kills: 1,
    broker_away: Duration::from_secs(3),
    postgres_away: Duration::from_secs(2),
    redis_away: Duration::from_secs(2),
    twins: &[("dispatch", &[plan::End::Asked]), ("analytics", &[Killed])],
    twin_stays: Duration::from_secs(1),
};

#[cfg(feature = "full")]
const LONG: Scale = Scale {
    name: "long",
    span: Duration::from_mins(1),
    kills: 4,
    broker_away: Duration::from_secs(10),
    postgres_away: Duration::from_secs(5),
    redis_away: Duration::from_secs(5),
    twins: &[("dispatch", &[Asked, Killed]), ("analytics", &[Killed, Asked])],
    twin_stays: Duration::from_secs(3),
    ..SHORT
};

#[tokio::test]
async fn every_fault_once_loses_no_order_and_doubles_none() {
    run(&SHORT).await;
}

#[cfg(feature = "full")]
#[tokio::test]
async fn a_minute_in_which_everything_falls_over_several_times_loses_no_order_and_doubles_none() {
    run(&LONG).await;
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
async fn run(scale: &Scale) {
    let seed = plan::seed();
    let plan = Plan::draw(scale, seed);
    println!("THROUGHLINE_FAULTS_SEED={seed}");
    let mesh = Mesh::start_with(&["--no-demo-order"], &[]);
    let crowd = Crowd::gather(&mesh).await;
    let services = VICTIMS.map(|name| Service::adopt(&mesh, name));
    let children = services.each_ref().map(Service::spawn);
    join_all(services.iter().map(Service::ready)).await;
    let diary = Diary::begin();
    let kept = services.iter().zip(children).map(|(service, child)| Box::pin(service.keep(child, &plan.kills[service.name], &diary)));
    let (placed, books, settled) = tokio::select! {
        done = ordeal(scale, &plan, &mesh, &crowd, &services, &diary) => done,
        _ = select_all(kept) => unreachable!("they are kept for ever"),
    };
    let answers = crowd.answers();
    let report = Report { scale, seed, placed: &placed, answers, diary: &diary, books: &books, settled };
    println!("{}\nwritten to {}", report.text(), report.write().display());
    assert!(report.wrong().is_empty(), "{:#?}", report.wrong());
}

/// Orders and faults, and what is there after both.
async fn ordeal<'a>(
    scale: &Scale,
    plan: &Plan,
    mesh: &'a Mesh,
    crowd: &Crowd<'_>,
    services: &[Service],
    diary: &Diary,
) -> (Vec<Placed>, Books<'a>, Duration) {
    let outages = join_all(plan.outages.iter().map(|outages| outages::happen(mesh, outages, diary)));
    let visits = join_all(plan.twins.iter().map(|twins| async move {
        for twin in twins {
            let service = services.iter().find(|service| service.name == twin.service).unwrap();
            service.visit(twin, scale.twin_stays, diary).await;
        }
    }));
    let (placed, ..) = tokio::join!(crowd.order(diary.begun(), scale.rate, scale.span), outages, visits);
    let (mut books, since) = (Books::open(mesh).await, Instant::now());
    books.settled().await;
    let settled = since.elapsed();
    for service in services {
        diary.add(&service.counters().await);
    }
    books.compare(&placed).await;
    (placed, books, settled)
}
