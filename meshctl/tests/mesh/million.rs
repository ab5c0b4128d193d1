//! A million orders: how long they take to write, and that no route reads through them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::running::{Mesh, eventually, json_of};

const ORDERS: &str = "1000000";
const LIMIT: Duration = Duration::from_mins(2);
/// What must not be read from end to end.
const LARGE: [&str; 3] = ["orders", "order_items", "customers"];
/// Asked from these tables this is a seq scan, whatever the planner thinks: shows that one would be found.
const BAD: &str = "SELECT count(*) FROM orders.orders WHERE request_hash = '\\x00'";

/// A statement that Postgres has run, as `auto_explain` logs it.
struct Run {
    user: String,
    milliseconds: f64,
    query: String,
    plan: Value,
}

impl Run {
    /// Large tables that were read from end to end.
    fn scanned(&self) -> Vec<String> {
        let mut found = Vec::new();
        scans(&self.plan["Plan"], &mut found);
        found
    }
}

fn scans(node: &Value, found: &mut Vec<String>) {
    let relation = node["Relation Name"].as_str().unwrap_or_default();
    if node["Node Type"] == "Seq Scan" && LARGE.contains(&relation) {
        found.push(relation.to_owned());
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|child| scans(child, found));
}

/// What was logged from `start` on. A line that begins with a tab goes on with the one before.
fn runs(mesh: &Mesh, start: u64) -> Vec<Run> {
    let mut file = File::open(mesh.home().join("logs/postgres.log")).unwrap();
    let mut text = String::new();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.read_to_string(&mut text).unwrap();
    text.replace("\n\t", "\u{1}").lines().filter_map(run).collect()
}

fn run(line: &str) -> Option<Run> {
    let (head, plan) = line.split_once(" ms  plan:\u{1}")?;
    let (who, milliseconds) = head.split_once(" LOG:  duration: ")?;
    let user = who.rsplit(' ').next()?.split('@').next()?.to_owned();
    let plan: Value = serde_json::from_str(&plan.replace('\u{1}', "\n")).ok()?;
    Some(Run { user, milliseconds: milliseconds.parse().ok()?, query: plan["Query Text"].as_str()?.to_owned(), plan })
}

async fn administrator(mesh: &Mesh) -> Client {
    let (client, connection) = tokio_postgres::connect(&mesh.endpoint("postgres"), NoTls).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "no trace context to lose in a test")]
    tokio::spawn(connection);
    client
}

/// From now on Postgres logs the plan of every statement; returns where its log ends.
async fn explain_all(mesh: &Mesh, admin: &Client) -> u64 {
    // one by one: they cannot be within a transaction
    for statement in [
        "LOAD 'auto_explain'",
        "ALTER SYSTEM SET session_preload_libraries = 'auto_explain'",
        "ALTER SYSTEM SET auto_explain.log_min_duration = 0",
        "ALTER SYSTEM SET auto_explain.log_format = 'json'",
        "SELECT pg_reload_conf()",
    ] {
        admin.batch_execute(statement).await.unwrap();
    }
    mesh.meshctl(&["restart", "orders"]);
    std::fs::metadata(mesh.home().join("logs/postgres.log")).unwrap().len()
}

/// A caller of the gateway who keeps count of the time.
struct Visitor<'a> {
    mesh: &'a Mesh,
    token: String,
    took: BTreeMap<String, Duration>,
}

impl Visitor<'_> {
    async fn ask(&mut self, what: &str, request: RequestBuilder, status: StatusCode) -> Value {
        let since = Instant::now();
        let answer = json_of(request.bearer_auth(&self.token).send().await.unwrap(), status).await;
        self.took.insert(what.to_owned(), since.elapsed());
        answer
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.mesh.client.request(method, self.mesh.url(path))
    }

    async fn get(&mut self, path: &str) -> Value {
        let request = self.request(Method::GET, path);
        self.ask(path, request, StatusCode::OK).await
    }

    /// The first two pages of a list, which must both be full.
    async fn pages(&mut self, path: &str) {
        let full = |page: &Value| page["items"].as_array().unwrap().len() == 20;
        let joint = if path.contains('?') { '&' } else { '?' };
        let first = self.get(&format!("{path}{joint}limit=20")).await;
        let cursor = first["next_cursor"].as_str().unwrap_or_else(|| panic!("{path} has one page: {first}"));
        let second = self.get(&format!("{path}{joint}limit=20&cursor={cursor}")).await;
        assert!(full(&first) && full(&second) && first["items"] != second["items"], "{path}");
    }
}

async fn log_in(mesh: &Mesh, (email, password): (String, String)) -> Visitor<'_> {
    let login = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }));
    let answer = json_of(login.send().await.unwrap(), StatusCode::OK).await;
    Visitor { mesh, token: answer["access_token"].as_str().unwrap().to_owned(), took: BTreeMap::new() }
}

/// Every way in which orders and customers are looked at.
async fn look(visitor: &mut Visitor<'_>, customer: &str) {
    for list in [
        "/api/v1/orders".to_owned(),
        "/api/v1/orders?status=placed".to_owned(),
        "/api/v1/orders?status=delivered".to_owned(),
        "/api/v1/orders?status=cancelled".to_owned(),
        format!("/api/v1/orders?{}", span(200, 170)),
        format!("/api/v1/orders?status=cancelled&{}", span(200, 170)),
        format!("/api/v1/orders?customer_id={customer}"),
        format!("/api/v1/customers/{customer}/orders"),
        "/api/v1/customers".to_owned(),
    ] {
        visitor.pages(&list).await;
    }
    visitor.get(&format!("/api/v1/customers/{customer}")).await;
    visitor.get("/api/v1/orders/stats").await;
    visitor.get(&format!("/api/v1/orders/stats?{}", span(200, 170))).await;
}

/// From so many days ago until so many.
fn span(from: i64, before: i64) -> String {
    let day = |ago: i64| (chrono::Utc::now() - chrono::Duration::days(ago)).format("%Y-%m-%dT00:00:00Z");
    format!("created_from={}&created_before={}", day(from), day(before))
}

/// Places, reads, changes and cancels.
async fn trade(buyer: &mut Visitor<'_>, admin: &mut Visitor<'_>, products: &[String]) {
    let items: Vec<Value> = products.iter().map(|id| json!({ "product_id": id, "quantity": 1 })).collect();
    for turn in 0..3 {
        let request = buyer.request(Method::POST, "/api/v1/orders").json(&json!({ "items": items }));
        let order = buyer.ask("place", request.header("idempotency-key", format!("million-{turn}")), StatusCode::CREATED).await;
        let path = format!("/api/v1/orders/{}", order["order_id"].as_str().unwrap());
        let request = buyer.request(Method::GET, &format!("{path}?include=customer,items"));
        buyer.ask("get with customer and items", request, StatusCode::OK).await;
        let request = admin.request(Method::PUT, &format!("{path}/status")).json(&json!({ "status": "paid" }));
        admin.ask("paid", request, StatusCode::OK).await;
        let request = buyer.request(Method::DELETE, &path);
        buyer.ask("cancel", request, StatusCode::OK).await;
    }
    buyer.get("/api/v1/orders").await;
    buyer.get("/api/v1/orders/stats").await;
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[tokio::test]
async fn a_million_orders_are_seeded_within_two_minutes_and_no_route_reads_through_them() {
    let mesh = Mesh::start(&[]);
    let since = Instant::now();
    let seeded: Value = serde_json::from_str(&mesh.meshctl(&["seed", "--orders", ORDERS, "--json"])).unwrap();
    println!("{seeded} in {:?}", since.elapsed());
    assert_eq!(seeded["orders"]["total"].to_string(), ORDERS);
    assert!(since.elapsed() <= LIMIT, "{:?}", since.elapsed());
    let again = Instant::now();
    mesh.meshctl(&["seed", "--orders", ORDERS]);
    assert!(again.elapsed() <= Duration::from_secs(5), "nothing to do took {:?}", again.elapsed());

    let administrator = administrator(&mesh).await;
    let best = "SELECT customer_id::text FROM orders.orders GROUP BY 1 ORDER BY count(*) DESC LIMIT 1";
    let customer: String = administrator.query_one(best, &[]).await.unwrap().get(0);
    let start = explain_all(&mesh, &administrator).await;
    let (mut admin, mut buyer) = (log_in(&mesh, mesh.admin()).await, log_in(&mesh, mesh.demo()).await);
    look(&mut admin, &customer).await;
    trade(&mut buyer, &mut admin, &mesh.products(3).await).await;
    // settings of a new session, as the services' are
    self::administrator(&mesh).await.batch_execute(BAD).await.unwrap();

    let runs = eventually(|| async {
        let runs = runs(&mesh, start);
        if runs.iter().any(|run| run.query.contains("request_hash = ")) { Ok(runs) } else { Err("the last plan is not logged".into()) }
    })
    .await;
    report(&admin, &buyer, &runs);
    let (ours, others): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.user == "throughline_orders");
    assert!(others.iter().any(|run| run.query == BAD && run.scanned() == ["orders"]), "a seq scan would not be found");
    for expected in
        ["percentile_disc", "INSERT INTO orders.outbox", "FOR NO KEY UPDATE", "\"orders\".\"customers\"", "\"orders\".\"order_items\""]
    {
        assert!(ours.iter().any(|run| run.query.contains(expected)), "no plan of a statement with {expected}");
    }
    let bad: Vec<_> = ours
        .iter()
        .filter(|run| !run.scanned().is_empty())
        .map(|run| format!("{:?}: {}\n{:#}", run.scanned(), run.query, run.plan))
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn report(admin: &Visitor<'_>, buyer: &Visitor<'_>, runs: &[Run]) {
    let mut slow: Vec<_> = admin.took.iter().chain(&buyer.took).collect();
    slow.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
    for (what, took) in slow.iter().take(8) {
        println!("{took:>12.1?}  {what}");
    }
    let mut slow: Vec<_> = runs.iter().filter(|run| run.user == "throughline_orders").collect();
    slow.sort_by(|one, other| other.milliseconds.total_cmp(&one.milliseconds));
    for run in slow.iter().take(8) {
        println!(
            "{:>9.1} ms  {}",
            run.milliseconds,
            run.query.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect::<String>()
        );
    }
}
