//! Every scenario on and off in random order for five minutes under load: no connection, thread or memory leaks, and no order is lost.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, seq::IndexedRandom};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    running::{Mesh, resident, within},
    traffic::{
        Traffic,
        Visit::{Order, Orders, Posts, Product, Thread},
    },
    truth::Truth,
};

const MIX: [crate::traffic::Visit; 6] = [Order, Product, Orders, Thread, Product, Posts];
const RATE: u32 = 40;
/// Pools, caches and export queues fill in this time.
const WARM_UP: Duration = Duration::from_mins(1);
const DISORDER: Duration = Duration::from_mins(5);
/// Until everything is as it was.
const REST: Duration = Duration::from_mins(1);
/// How much resident memory may have grown, in percent and in KiB: allocators keep some of what they had.
const GROWTH: (u64, u64) = (40, 40 << 10);
const STOCK: i64 = 1_000_000;

/// Of each service: connections of its pools, threads, and resident memory in KiB.
#[derive(Debug, Default)]
struct Footprint {
    used: u64,
    threads: u64,
    memory: u64,
}

#[tokio::test]
async fn five_minutes_of_disorder_leave_nothing_behind() {
    let mesh = Mesh::start(&[("MESH_PROMETHEUS__MODE", "off")]);
    let listed: Value = serde_json::from_str(&mesh.meshctl(&["scenario", "list", "--json"])).unwrap();
    let scenarios: Vec<String> =
        listed["scenarios"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    let traffic = Traffic::of(&mesh).await;
    let (before, _) = traffic
        .during(&MIX, RATE, async {
            sleep(WARM_UP).await;
            footprints(&mesh).await
        })
        .await;
    let ((), answers) = traffic
        .during(&MIX, RATE, async {
            let end = Instant::now() + DISORDER;
            while Instant::now() < end {
                let name = scenarios.choose(&mut rand::rng()).unwrap();
                let action = if rand::rng().random_bool(0.6) { "on" } else { "off" };
                mesh.meshctl(&["scenario", action, name]);
                sleep(Duration::from_millis(rand::rng().random_range(100..3_000))).await;
            }
            mesh.meshctl(&["scenario", "off"]);
        })
        .await;
    within(REST, || async {
        let after = footprints(&mesh).await;
        let grown: Vec<_> = after
            .iter()
            .filter(|(service, now)| {
                let then = &before[*service];
                now.used > then.used + 2 || now.threads > then.threads + 2 || now.memory > then.memory * (100 + GROWTH.0) / 100 + GROWTH.1
            })
            .collect();
        if grown.is_empty() { Ok(()) } else { Err(format!("grown: {grown:?}, from {before:?}")) }
    })
    .await;
    let truth = Truth::of(&mesh).await;
    truth.settled(&mesh).await;
    truth.agrees(&mesh, STOCK).await;
    let placed = i64::try_from(traffic.placed()).unwrap();
    assert!(placed > 100 && truth.orders().await > placed, "{placed} orders were answered 201: {answers:?}");
}

async fn footprints(mesh: &Mesh) -> BTreeMap<String, Footprint> {
    let status: Value = serde_json::from_str(&mesh.meshctl(&["status", "--json"])).unwrap();
    let mut all = BTreeMap::new();
    for service in status["services"].as_array().unwrap() {
        let url = format!("{}/metrics", service["admin"].as_str().unwrap());
        let text = mesh.client.get(url).send().await.unwrap().text().await.unwrap();
        let sum = |metric: &str, label: &str| {
            let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]
        let footprint = Footprint {
            used: sum("db_client_connection_count{", "connection_state=\"used\"") as u64,
            threads: sum("process_thread_count", "") as u64,
            memory: resident(service),
        };
        all.insert(service["name"].as_str().unwrap().to_owned(), footprint);
    }
    all
}
