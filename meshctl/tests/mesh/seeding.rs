//! `./mesh seed`: a past for a mesh that is up.

use std::process::{Command, Output};

use serde_json::Value;

use crate::{
    documents::commands,
    running::{Mesh, success},
    truth::Truth,
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_past_is_written_once_and_a_bad_call_is_told_by_its_exit_code() {
    let mesh = Mesh::start(&[]);
    let truth = Truth::of(&mesh).await;
    let seed = |arguments: &[&str]| mesh.command(&[&["seed"], arguments].concat()).output().unwrap();
    let json = |output: &Output| serde_json::from_slice::<Value>(success(output)).unwrap();

    let before = truth.orders().await;
    let first = seed(&["--orders", "1500", "--json"]);
    assert_eq!(json(&first)["orders"]["orders"], 1_500, "{}", text(&first.stdout));
    assert!(json(&first)["posts"].is_null() && !text(&first.stderr).contains('\r'), "{}", text(&first.stderr));
    assert_eq!(truth.orders().await, before + 1_500);
    let again = json(&seed(&["--orders", "1500", "--posts", "300", "--json"]));
    assert_eq!((&again["orders"]["orders"], &again["orders"]["total"], &again["posts"]["posts"]), (&0.into(), &1_500.into(), &300.into()));
    assert_eq!(truth.orders().await, before + 1_500);
    // nothing of it is told to anybody
    assert!(truth.number("SELECT coalesce(sum(orders), 0) FROM events.daily_orders").await <= before);

    for wrong in [&["--orders", "10000001"][..], &["--orders", "-1"], &["--posts", "many"], &["1000"]] {
        let refused = seed(wrong);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), String::new()), "{wrong:?}");
    }
    let shown = text(&seed(&["--orders", "0"]).stdout);
    assert_eq!(shown, "0 orders with 0 lines written; all 0 are there\n");

    mesh.meshctl(&["stop", "postgres"]);
    let away = seed(&["--orders", "1500", "--json"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(text(&away.stderr).contains("postgres does not run") && text(&away.stdout).contains("\"error\""), "{}", text(&away.stderr));
}

#[tokio::test]
async fn without_migrations_and_without_a_mesh_the_way_out_is_named() {
    let mesh = Mesh::start_with(&["--infra-only"], &[]);
    let unmigrated = mesh.command(&["seed", "--orders", "10"]).output().unwrap();
    assert_eq!(unmigrated.status.code(), Some(1));
    assert!(text(&unmigrated.stderr).contains("lacks migrations: ./mesh up"), "{}", text(&unmigrated.stderr));
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
    let none = command.args(["seed", "--orders", "10", "--home"]).arg(nowhere.path().join("mesh")).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("./mesh up"), "{}", text(&none.stderr));
}

#[tokio::test]
async fn the_commands_of_the_page_about_sql_work() {
    let mesh = Mesh::start_with(&["--no-demo-order"], &[]);
    let commands = commands(include_str!("../../../docs/sql.md"));
    assert_eq!(commands.len(), 2, "{commands:#?}");
    for line in &commands {
        let words: Vec<&str> = line.strip_prefix("./mesh ").unwrap().split(' ').collect();
        assert!(!mesh.meshctl(&words).is_empty(), "{line}");
    }
    assert_eq!(Truth::of(&mesh).await.orders().await, 2_000);
}
