//! The binary: output, exit codes, and what it does not say.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use db::roles::Role;
use db::testing::{TestDatabase, role_passwords};
use serde_json::Value;

use crate::migrations::ALL;

/// The binary with the settings of the migrate job, and no others.
fn job(url: &str, arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    command.env("THROUGHLINE_DATABASE__URL", url);
    for role in Role::ALL {
        command.env(role.key(), role_passwords().of(role));
    }
    command
}

fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_db"));
    command.args(arguments).env_clear();
    command
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn run(mut command: Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code().expect("an exit code"), out: text(stdout), err: text(stderr) }
}

#[tokio::test]
async fn the_whole_life_of_a_database() {
    let database = TestDatabase::empty().await;
    let url = database.admin_url();
    let db = |arguments: &[&str]| {
        let said = run(job(&url, arguments));
        for role in Role::ALL {
            assert!(!format!("{}{}", said.out, said.err).contains(role_passwords().of(role)), "a password in the output");
        }
        said
    };
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&db(arguments).out).expect("one JSON value");

    let before = db(&["migrate", "status"]);
    assert_eq!((before.code, before.out.lines().count()), (1, ALL.len()), "{}", before.out);
    assert!(before.out.contains("pending  orders/0002_outbox\n"), "{}", before.out);

    let up = db(&["migrate", "up"]);
    assert_eq!((up.code, up.out), (0, format!("{} migrations applied\n", ALL.len())), "{}", up.err);
    assert_eq!(up.err.lines().filter(|line| line.starts_with("up ")).count(), ALL.len(), "{}", up.err);
    assert_eq!(json(&["migrate", "up", "--json"])["applied"], Value::Array(vec![]));
    let status = json(&["migrate", "status", "--json"]);
    assert_eq!((status["current"].as_bool(), status["schemas"][2]["applied"][0].as_str()), (Some(true), Some("0001_orders")));

    assert_eq!(json(&["seed", "--json"])["seeded"]["products"], 200);
    assert_eq!(db(&["seed"]).out, "0 products and 0 rows of stock written\n");
    let past = json(&["seed", "--orders", "1200", "--posts", "300", "--json"]);
    assert_eq!((&past["orders"]["orders"], &past["posts"]["posts"], &past["seeded"]["products"]), (&1_200.into(), &300.into(), &0.into()));
    let again = db(&["seed", "--orders", "1200"]);
    assert!(again.out.ends_with("0 orders with 0 lines written; all 1200 orders are there\n"), "{}", again.out);
    assert_eq!(again.err, "orders: 1200 of 1200\n");
    assert_eq!((db(&["schema", "--check"]).code, db(&["schema"]).out.as_str()), (0, db::generate::checked_in()));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a path in UTF-8");
    assert_eq!(db(&["schema", "--output", path]).code, 0);
    assert_eq!(std::fs::read_to_string(path).expect("the file"), db::generate::checked_in());
    assert_eq!(db(&["schema", "--output", "/no/such/folder/schema.rs"]).code, 2);

    let down = json(&["migrate", "down", "--steps", "99", "--schema", "catalog", "--json"]);
    let taken: Vec<_> = ALL.iter().rev().filter_map(|name| name.strip_prefix("catalog/")).collect();
    let names = |step: &Value| step["migration"].as_str().expect("a name").to_owned();
    assert_eq!(down["reverted"].as_array().expect("a list").iter().map(names).collect::<Vec<_>>(), taken);
    let differs = db(&["schema", "--check"]);
    assert_eq!(differs.code, 1, "{}", differs.out);
    assert_eq!(db(&["migrate", "down", "--all"]).out, format!("{} migrations reverted\n", ALL.len() - taken.len()));
    assert_eq!(db(&["schema", "--check"]).code, 1);
    assert_eq!(db(&["seed"]).code, 1);
}

#[tokio::test]
async fn four_jobs_at_once_all_succeed() {
    let database = TestDatabase::empty().await;
    let start = |_| job(&database.admin_url(), &["migrate", "up", "--json"]).stdout(std::process::Stdio::piped()).spawn().expect("a job");
    let jobs: Vec<_> = (0..4).map(start).collect();
    let mut applied = 0;
    for job in jobs {
        let output = job.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(0));
        applied += serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["applied"].as_array().expect("a list").len();
    }
    assert_eq!(applied, ALL.len());
}

#[test]
fn all_missing_settings_are_named_at_once() {
    let up = run(bare(&["migrate", "up"]));
    assert_eq!((up.code, up.out.as_str()), (2, ""));
    for key in Role::ALL.map(Role::key).into_iter().chain(["THROUGHLINE_DATABASE__URL"]) {
        assert!(up.err.contains(key), "{key} is not in: {}", up.err);
    }
    let seed = run(bare(&["seed"]));
    assert_eq!(seed.code, 2);
    assert!(seed.err.contains("THROUGHLINE_DATABASE__URL") && !seed.err.contains("ROLES"), "{}", seed.err);
}

#[test]
fn bad_usage_is_2() {
    let url = "postgres://u:p@127.0.0.1:1/x";
    for arguments in [
        &["migrate", "down"][..],
        &["migrate", "down", "--steps", "1"],
        &["migrate", "down", "--schema", "orders"],
        &["migrate", "down", "--steps", "0", "--schema", "orders"],
        &["migrate", "down", "--steps", "1", "--schema", "shop"],
        &["migrate", "down", "--all", "--steps", "1", "--schema", "orders"],
        &["migrate", "sideways"],
        &["--wait", "soon", "seed"],
        &["seed", "--orders", "10000001"],
        &["seed", "--posts", "-1"],
        &["seed", "--orders", "many"],
        &[],
    ] {
        assert_eq!(run(job(url, arguments)).code, 2, "{arguments:?}");
    }
    let bad = run(job("postgres://u:hunter2@host:port/x", &["seed"]));
    assert_eq!(bad.code, 2, "{}", bad.err);
    assert!(!bad.err.contains("hunter2"), "{}", bad.err);
}

#[test]
fn a_server_that_does_not_come_is_1_after_the_time_given() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let started = Instant::now();
    let said = run(job(&format!("postgres://u:hunter2@127.0.0.1:{port}/x"), &["--wait", "1", "migrate", "up"]));
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains(&format!("127.0.0.1:{port}/x")) && !said.err.contains("hunter2"), "{}", said.err);
    assert!(started.elapsed() > Duration::from_millis(700), "it has waited");
}
