//! Sessions do not pile up: after thousands of logins the service is as large as before, and Redis forgets what has expired.

use std::process::Command;

use futures::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::json;

use crate::running::{Mesh, eventually, resident};

/// Seconds that a session lives here.
const LIFETIME: &str = "20";

/// Keys of auth in Redis.
fn keys(mesh: &Mesh) -> usize {
    let url = mesh.endpoint("redis");
    let output = Command::new("redis-cli").args(["-u", &url, "--scan", "--pattern", "throughline:auth:*"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().count()
}

async fn log_in(mesh: &Mesh, count: usize) {
    let (email, password) = mesh.demo();
    let login = json!({ "email": email, "password": password });
    let logins = stream::iter(0..count).map(|_| mesh.client.post(mesh.url("/api/v1/auth/login")).json(&login).send());
    let refused = logins.buffer_unordered(32).filter(|answer| {
        let opened = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK);
        std::future::ready(!opened)
    });
    assert_eq!(refused.count().await, 0);
}

#[tokio::test]
async fn twenty_thousand_logins_leave_nothing_behind() {
    let mesh = Mesh::start(&[
        ("MESH_ENV__AUTH__THROUGHLINE_PASSWORD__M_COST_KIB", "8"),
        ("MESH_ENV__AUTH__THROUGHLINE_PASSWORD__T_COST", "1"),
        ("MESH_ENV__AUTH__THROUGHLINE_PASSWORD__P_COST", "1"),
        ("MESH_ENV__AUTH__THROUGHLINE_SESSION__TTL_SECONDS", LIFETIME),
    ]);
    log_in(&mesh, 4_000).await;
    let before = resident(&mesh.service("auth"));
    log_in(&mesh, 16_000).await;
    let after = resident(&mesh.service("auth"));
    assert!(after * 10 <= before * 12, "auth grew from {before} to {after} KiB");
    eventually(|| async {
        let left = keys(&mesh);
        if left == 0 { Ok(()) } else { Err(format!("{left} keys are left in Redis")) }
    })
    .await;
}
