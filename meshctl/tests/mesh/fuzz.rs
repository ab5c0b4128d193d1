//! The API against its own document: requests that a property-based tester makes up, on a real mesh. No 5xx, and every answer
//! is one that the document promises.

use std::process::Command;

use serde_json::json;

use crate::{
    exposition::Exposition,
    running::{Mesh, json_of},
};

const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";
/// Errors and waits on demand, a stream without an end, and what would end the tester's own session.
const LEFT_OUT: [&str; 4] = ["/api/v1/error", "/api/v1/slow", "/api/v1/events", "/api/v1/auth/logout"];

/// `./mesh test --full` installs it and sets the variable.
fn tester() -> String {
    std::env::var("THROUGHLINE_SCHEMATHESIS")
        .unwrap_or_else(|_| panic!("THROUGHLINE_SCHEMATHESIS does not name the program; ./mesh test --full installs it"))
}

async fn requests(mesh: &Mesh) -> f64 {
    let metrics = Exposition::of(mesh, "gateway").await;
    metrics.sum("http_server_request_duration_seconds_count", &[])
}

fn fuzz(mesh: &Mesh, token: &str, arguments: &[&str]) {
    let output = Command::new(tester())
        .args(["run", &mesh.url("/api/v1/openapi.json"), "--no-color", "--workers", "2", "--checks", CHECKS])
        .args(["--generation-database", "none", "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--request-timeout", "20", "--warnings", "off"])
        .args(arguments)
        .current_dir(mesh.home())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn made_up_requests_meet_no_server_error_and_no_undocumented_answer() {
    let mesh = Mesh::start(&[]);
    let (email, password) = mesh.admin();
    let login = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }));
    let answer = json_of(login.send().await.unwrap(), reqwest::StatusCode::OK).await;
    let token = answer["access_token"].as_str().unwrap();
    let before = requests(&mesh).await;
    let left_out: Vec<&str> = LEFT_OUT.iter().flat_map(|path| ["--exclude-path", path]).collect();
    fuzz(&mesh, token, &[["--max-examples", "100"].as_slice(), &left_out].concat());
    fuzz(&mesh, token, &["--include-path", "/api/v1/auth/logout"]);
    let made = requests(&mesh).await - before;
    assert!(made >= 5_000.0, "only {made} requests were made up");
}
