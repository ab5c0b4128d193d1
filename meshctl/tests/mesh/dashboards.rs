//! Every panel of every dashboard has data under mixed load, its exemplars lead to traces, and no alert fires meanwhile.

use std::{path::Path, process::Command, time::Duration};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    running::Mesh,
    scenarios::{Canary, free_address},
    traffic::{
        Traffic,
        Visit::{Login, Order, Orders, Posts, Product, Thread, Unknown},
    },
};

/// Load before the queries: longer than they look back.
const WARM_UP: Duration = Duration::from_secs(100);
const RATE: u32 = 22;

#[tokio::test]
async fn every_panel_has_data_under_mixed_load() {
    let canary = free_address();
    let mesh = Mesh::start(&[
        ("MESH_PROMETHEUS__MODE", "on"),
        ("MESH_PROMETHEUS__SCRAPE_INTERVAL_MS", "1000"),
        ("MESH_PROMETHEUS__CANARY", &canary),
    ]);
    let _canary = Canary::start(&mesh, &canary);
    let traffic = Traffic::of(&mesh).await;
    let mix = [Order, Product, Orders, Thread, Product, Posts, Order, Unknown, Product, Login, Orders];
    let (checked, answers) = traffic
        .during(&mix, RATE, async {
            sleep(WARM_UP).await;
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observability/grafana/check.py");
            let mut command = Command::new("python3");
            command.arg(script).args(["--prometheus", &mesh.endpoint("prometheus"), "--tempo", &mesh.endpoint("tempo")]);
            command.args(["--range", "1m", "--window", "30s", "--on", "rules", "--on", "canary", "--wait", "1m", "--json"]);
            // on a thread of its own: the load goes on meanwhile
            let checking = std::thread::spawn(move || command.output().unwrap());
            while !checking.is_finished() {
                sleep(Duration::from_millis(100)).await;
            }
            checking.join().unwrap()
        })
        .await;
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&checked.stderr)));
    assert!(checked.status.success(), "{:#}\n{answers:?}", found["problems"]);
    assert!(found["data"].as_u64().unwrap() > 200, "{found:#}");
}
