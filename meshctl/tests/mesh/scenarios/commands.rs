//! The commands, the admin port, and what they refuse.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::running::{Mesh, json_of, within};

/// Within this time a change of the file is heeded.
const HEEDED: Duration = Duration::from_secs(2);

fn refused(mesh: &Mesh, arguments: &[&str]) -> String {
    let output = mesh.command(&[&["scenario"], arguments].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

async fn admin(mesh: &Mesh, service: &str) -> Value {
    let url = format!("{}/scenarios", mesh.service(service)["admin"].as_str().unwrap());
    json_of(mesh.client.get(url).send().await.unwrap(), StatusCode::OK).await
}

fn of<'a>(said: &'a Value, name: &str) -> &'a Value {
    said["scenarios"].as_array().unwrap().iter().find(|scenario| scenario["name"] == name).unwrap()
}

#[tokio::test]
async fn scenarios_are_switched_live_and_wrong_input_changes_nothing() {
    let mesh = Mesh::start_with(&["--no-demo-order"], &[]);
    for (arguments, told) in [
        (&["on", "no-such"][..], "no-such is no scenario; there are cache-stampede, connection-leak"),
        (&["on", "error-spike", "--set", "percent=101"], "percent must be 1 to 100, not 101"),
        (&["on", "error-spike", "--set", "percent=x", "--set", "status=418"], "status must be one of 500, 503, 504, not 418"),
        (&["on", "error-spike", "--set", "share=1"], "share is no parameter of error-spike; there are percent, status"),
        (&["on", "error-spike", "--set", "percent=1", "--set", "percent=2"], "percent is set twice"),
        (&["on", "error-spike", "--set", "percent"], "KEY=VALUE"),
        (&["on", "error-spike", "--for", "soon"], "30s"),
        (&["on", "error-spike", "--for", "0s"], "--for must be more than nothing"),
        (&["off", "no-such"], "no-such is no scenario"),
        (&["explain", "no-such"], "no-such is no scenario"),
        (&["check", "no-such"], "no-such is no scenario"),
    ] {
        let error = refused(&mesh, arguments);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    assert_eq!(of(&admin(&mesh, "gateway").await, "error-spike")["on"], false);

    live(&mesh).await;
    a_bad_file_keeps_the_last_good_state(&mesh).await;
    the_admin_port_is_for_one_process(&mesh).await;
}

async fn live(mesh: &Mesh) {
    let products = mesh.url("/api/v1/products?limit=1");
    let status = async || mesh.client.get(&products).send().await.unwrap().status();
    assert_eq!(status().await, StatusCode::OK);
    mesh.meshctl(&["scenario", "on", "error-spike", "--set", "percent=100", "--set", "status=503"]);
    let answer = mesh.client.get(&products).send().await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = json_of(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["type"], "/problems/unavailable");
    assert_eq!(mesh.client.get(mesh.url("/health")).send().await.unwrap().status(), StatusCode::OK, "that is asked for the truth");
    // several at once, one of which ends by itself
    mesh.meshctl(&["scenario", "on", "n-plus-one", "--for", "3s"]);
    let listed: Value = serde_json::from_str(&mesh.meshctl(&["scenario", "list", "--json"])).unwrap();
    let on = |listed: &Value, name: &str| of(listed, name)["on"] == true;
    assert!(on(&listed, "error-spike") && on(&listed, "n-plus-one") && !on(&listed, "slow-query"), "{listed}");
    let exposed = format!("{}/metrics", mesh.service("gateway")["admin"].as_str().unwrap());
    let metrics = mesh.client.get(exposed).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("throughline_scenario_active{scenario=\"error-spike\"} 1"), "{metrics}");
    within(Duration::from_secs(3) + HEEDED, || async {
        let said = admin(mesh, "catalog-cache").await;
        if of(&said, "n-plus-one")["on"] == false { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
    assert!(mesh.meshctl(&["scenario", "off"]).contains("error-spike"));
    assert_eq!(status().await, StatusCode::OK);
    assert!(mesh.meshctl(&["scenario", "off"]).contains("nothing was on"));
}

async fn a_bad_file_keeps_the_last_good_state(mesh: &Mesh) {
    let file = mesh.home().join("scenarios.yaml");
    let replace = |text: &str| {
        fs::write(file.with_extension("next"), text).unwrap();
        fs::rename(file.with_extension("next"), &file).unwrap();
    };
    let is_on = async |expected: bool, valid: bool| {
        within(HEEDED, || async {
            let said = admin(mesh, "gateway").await;
            let is_so = of(&said, "slow-endpoint")["on"] == expected && said["error"].is_null() == valid;
            if is_so { Ok(()) } else { Err(said.to_string()) }
        })
        .await;
    };
    replace("on: [{name: slow-endpoint, set: {delay_ms: 1}}]");
    is_on(true, true).await;
    replace("on: [{name: slow-endpoint, set: {delay_ms: 60000}}, {name: error-spike}]");
    is_on(true, false).await;
    assert_eq!(of(&admin(mesh, "gateway").await, "slow-endpoint")["set"]["delay_ms"], 1.0);
    assert_eq!(of(&admin(mesh, "gateway").await, "error-spike")["on"], false);
    let status = mesh.command(&["scenario", "status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stdout).contains("delay_ms must be 1 to 5000, not 60000"));
    assert!(mesh.meshctl(&["logs", "gateway"]).contains("scenarios stay as they are"));
    replace("");
    is_on(false, true).await;
}

async fn the_admin_port_is_for_one_process(mesh: &Mesh) {
    let url = format!("{}/scenarios/slow-endpoint", mesh.service("gateway")["admin"].as_str().unwrap());
    let put = async |body: &str| mesh.client.put(&url).body(body.to_owned()).send().await.unwrap();
    for body in ["{\"set\": {\"delay_ms\": 0}}", "{\"for_seconds\": 0}", "{\"for\": 1}", "{", "[]"] {
        let problem: Value = json_of(put(body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(problem["status"], 400, "{body}");
    }
    let unknown = format!("{}/scenarios/n-plus-one", mesh.service("gateway")["admin"].as_str().unwrap());
    json_of(mesh.client.put(unknown).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    let begun = Instant::now();
    let said: Value = json_of(put("{\"set\": {\"delay_ms\": 2}, \"for_seconds\": 1}").await, StatusCode::OK).await;
    let scenario = of(&said, "slow-endpoint");
    assert_eq!((&scenario["on"], &scenario["source"], &scenario["set"]["delay_ms"]), (&json!(true), &json!("admin"), &json!(2.0)));
    within(Duration::from_secs(1) + HEEDED, || async {
        let said = admin(mesh, "gateway").await;
        if of(&said, "slow-endpoint")["on"] == false { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(900));
    json_of(put("").await, StatusCode::OK).await;
    let said: Value = json_of(mesh.client.delete(&url).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(of(&said, "slow-endpoint")["on"], false);
}

#[tokio::test]
async fn where_they_are_disabled_nothing_switches_them_on() {
    let mesh = Mesh::start_with(&["--no-demo-order"], &[("MESH_ENV__GATEWAY__THROUGHLINE_SCENARIOS__ENABLED", "false")]);
    let output = mesh.command(&["scenario", "on", "error-spike"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gateway has scenarios.enabled = false"));
    let url = format!("{}/scenarios/error-spike", mesh.service("gateway")["admin"].as_str().unwrap());
    json_of(mesh.client.put(url).send().await.unwrap(), StatusCode::FORBIDDEN).await;
    assert_eq!(mesh.client.get(mesh.url("/api/v1/products")).send().await.unwrap().status(), StatusCode::OK);
}
