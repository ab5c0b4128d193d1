//! With TLS on, every hop is encrypted, and the mesh's own commands know how to speak to it.

use std::process::Command;

use reqwest::Client;
use serde_json::Value;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::{
    documents::commands,
    running::{Mesh, success},
};

/// A channel that trusts the mesh and cannot say who it is.
async fn anonymous(mesh: &Mesh, url: &str) -> Result<(), String> {
    let ca = std::fs::read(mesh.home().join("certs/ca.pem")).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let channel =
        Endpoint::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap().connect().await.map_err(|error| error.to_string())?;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.map(drop).map_err(|status| status.to_string())
}

#[tokio::test]
async fn with_mutual_tls_every_hop_is_encrypted_and_strangers_are_refused() {
    for model in ["shared", "thread-per-connection"] {
        encrypted(&Mesh::start(&[("MESH_TLS__MODE", "mtls"), ("MESH_RUNTIME__MODEL", model)])).await;
    }
}

async fn encrypted(mesh: &Mesh) {
    let gateway = mesh.endpoint("gateway");
    assert!(gateway.starts_with("https://127.0.0.1:"), "{gateway}");
    let report: Value = serde_json::from_str(&mesh.meshctl(&["verify", "--orders", "3", "--json"])).unwrap();
    assert_eq!(report["passed"], true, "{report}");
    for service in ["auth", "catalog-cache", "orders"] {
        let url = mesh.service(service)["grpc"].as_str().unwrap().to_owned();
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        assert!(mesh.meshctl(&["call", service, "list"]).contains("throughline."), "{service}");
        assert!(anonymous(mesh, &url).await.is_err(), "{service} serves a caller without a certificate");
    }
    let plain = gateway.replace("https://", "http://");
    let answer = Client::builder().no_proxy().build().unwrap().get(format!("{plain}/api/v1/products")).send().await;
    assert!(answer.is_err(), "the gateway serves a caller in plain text");
}

#[tokio::test]
async fn the_commands_of_the_page_about_tls_work() {
    let mesh = Mesh::start(&[]);
    assert!(mesh.endpoint("gateway").starts_with("http://"));
    let commands = commands(include_str!("../../../docs/tls.md"));
    assert_eq!(commands.len(), 5, "{commands:#?}");
    let ours = format!("'{}' --home '{}'", env!("CARGO_BIN_EXE_meshctl"), mesh.home().display());
    let gateway = mesh.endpoint("gateway").replace("http://", "https://");
    for line in &commands {
        let line = line.replace("./mesh", &ours).replace("https://127.0.0.1:8080", &gateway);
        let line = line.replace(".mesh/certs", &mesh.home().join("certs").display().to_string());
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", &line]).output().unwrap();
        let text = String::from_utf8_lossy(success(&output)).into_owned();
        assert!(!text.is_empty() && !text.contains("\"status\":4") && !text.contains("\"status\":5"), "{line}\n{text}");
    }
}

#[test]
fn tls_that_obi_could_not_look_into_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
    command.args(["up", "--detach", "--ephemeral-ports", "--telemetry", "ebpf", "--home"]).arg(home.path()).env("MESH_TLS__MODE", "tls");
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("tls.mode = tls") && told.contains("telemetry.mode = ebpf") && told.contains("docs/tls.md"), "{told}");
}

#[test]
fn certificates_are_replaced_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("certs");
    let certs = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.arg("certs").args(more).arg("--json").arg("--home").arg(folder.path()).arg("--out").arg(&out).output().unwrap()
    };
    let made: Value = serde_json::from_slice(success(&certs(&[]))).unwrap();
    let files: Vec<_> = made["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    assert_eq!(files.len(), 11, "an authority, and two files for each of four services and the launcher: {files:?}");
    assert!(files.iter().all(|file| std::fs::metadata(file).unwrap().len() > 0));
    let first = std::fs::read(out.join("orders.pem")).unwrap();
    let again = certs(&[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"), "{again:?}");
    assert_eq!(std::fs::read(out.join("orders.pem")).unwrap(), first);
    success(&certs(&["--force"]));
    assert_ne!(std::fs::read(out.join("orders.pem")).unwrap(), first);
}
