//! The topics of a mesh, and the page about events.

use kafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::Value;

use crate::{
    documents::commands,
    running::{Mesh, eventually},
};

#[tokio::test]
async fn the_commands_of_the_page_about_events_work() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/events.md"));
    assert_eq!(commands.len(), 3, "{commands:#?}");
    for line in &commands {
        let words: Vec<&str> = line.strip_prefix("./mesh ").unwrap().split(' ').collect();
        assert!(!mesh.meshctl(&words).is_empty(), "{line}");
    }
}

async fn shorten_retention(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", "3600000");
    admin.alter_configs(&[change], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn a_topic_that_differs_is_told_by_topics_and_by_up_and_left_as_it_is() {
    let mesh = Mesh::start_with(&["--infra-only"], &[]);
    let shown = mesh.meshctl(&["topics", "--check"]);
    assert!(shown.contains("dlq.marks") && shown.contains("compact") && shown.contains("30 d") && !shown.contains("differs"), "{shown}");

    shorten_retention(&mesh.endpoint("kafka"), "orders.created").await;
    let told = "orders.created: retention.ms is 3600000, declared is 604800000";
    eventually(async || {
        let shown = mesh.meshctl(&["topics"]);
        if shown.contains(told) && shown.contains("differs") { Ok(()) } else { Err(shown) }
    })
    .await;
    let checked = mesh.command(&["topics", "--check", "--json"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&report["differences"][0]["setting"], report["topics"].as_array().unwrap().len()), (&"retention.ms".into(), 8));

    let up = mesh.command(&["up", "--detach", "--infra-only"]).output().unwrap();
    let said = String::from_utf8(up.stderr).unwrap();
    assert!(up.status.success() && said.contains(&format!("warning: {told}")), "{said}");
    assert!(mesh.meshctl(&["topics"]).contains(told));

    mesh.meshctl(&["stop", "kafka"]);
    let away = mesh.command(&["topics", "--json"]).output().unwrap();
    assert_eq!(away.status.code(), Some(1));
    let said = String::from_utf8(away.stderr).unwrap();
    assert!(said.contains("kafka does not run in this mesh: ./mesh up starts it"), "{said}");
}
