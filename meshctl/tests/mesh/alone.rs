//! Promise E: each service runs alone, in the foreground or under a debugger, with the rest of the mesh around it.

use std::{
    io::Read,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::StatusCode;
use serde_json::Value;

use crate::running::{Mesh, eventually};

/// Waits until `name` is ready as another process than `before`.
async fn runs_again(mesh: &Mesh, name: &str, before: &Value) {
    eventually(|| async {
        let now = mesh.service(name);
        if now["pid"] == *before || now["pid"].is_null() {
            return Err(format!("{name} is still {now}"));
        }
        let admin = now["admin"].as_str().map(str::to_owned).ok_or("no admin port")?;
        let answer = mesh.client.get(format!("{admin}/readyz")).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
    })
    .await;
}

fn interrupt(mut child: Child) -> String {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    child.wait().unwrap();
    printed
}

#[tokio::test]
async fn a_service_runs_in_the_foreground_under_a_wrapper_while_the_rest_is_up() {
    let mesh = Mesh::start(&[]);
    let (token, products) = (mesh.token().await, mesh.products(1).await);
    for name in ["orders", "gateway", "dispatch"] {
        let mut run = mesh.command(&["run", name, "--wrap", "env RUN_ALONE=1"]);
        let before = mesh.service(name)["pid"].clone();
        let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        runs_again(&mesh, name, &before).await;
        let order = mesh.place(&token, &products, &[]).await;
        assert_eq!(order.status(), StatusCode::CREATED, "with {name} in the foreground");
        let printed = interrupt(child);
        assert!(printed.contains("\"stopped\""), "{name} stopped by itself: {printed}");
        mesh.meshctl(&["start", name]);
    }
}

#[tokio::test]
async fn every_grpc_service_can_be_called_through_reflection() {
    let mesh = Mesh::start(&[]);
    for (service, grpc) in [
        ("auth", "throughline.auth.v1.AuthService"),
        ("auth", "throughline.auth.v1.UserService"),
        ("auth", "throughline.auth.v1.SessionService"),
        ("catalog-cache", "throughline.catalog.v1.ProductService"),
        ("catalog-cache", "throughline.catalog.v1.PostService"),
        ("catalog-cache", "throughline.catalog.v1.RateLimitService"),
        ("catalog-cache", "throughline.catalog.v1.LeaderboardService"),
        ("orders", "throughline.orders.v1.OrderService"),
        ("orders", "throughline.orders.v1.CustomerService"),
        ("orders", "throughline.orders.v1.StockService"),
    ] {
        let listed = mesh.meshctl(&["call", service, "list"]);
        assert!(listed.contains(grpc) && listed.contains("grpc.health.v1.Health"), "{listed}");
        let health = mesh.meshctl(&["call", service, "grpc.health.v1.Health/Check", &format!("{{\"service\": \"{grpc}\"}}")]);
        assert!(health.contains("SERVING") && !health.contains("NOT_SERVING"), "{health}");
    }
    for (service, other) in [("auth", "orders.v1"), ("catalog-cache", "auth.v1"), ("orders", "catalog.v1")] {
        let listed = mesh.meshctl(&["call", service, "list"]);
        assert!(!listed.contains(other), "{service} tells of services that it has not: {listed}");
    }
    let page = mesh.meshctl(&["call", "catalog-cache", "throughline.catalog.v1.ProductService/ListProducts", "{\"pageSize\": 2}"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["products"].as_array().unwrap().len(), 2, "{page}");
}
