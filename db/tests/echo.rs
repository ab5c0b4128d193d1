//! `database.echo`, in a process of its own: who hears log lines is decided for a whole process.
#![allow(clippy::expect_used, reason = "a panic is how a test reports")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use chassis::Process;
use chassis::config::Secret;
use db::pool::{DatabaseConfig, Pool};
use db::roles::Role;
use db::schema::orders::stock;
use db::seed;
use db::testing::TestDatabase;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// What was logged since the last call, but what other crates say.
    fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let text = String::from_utf8(bytes).expect("text");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["target"] == "sql" || line["target"].as_str().is_some_and(|target| target.starts_with("db"))).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn pool(database: &TestDatabase, echo: bool) -> Pool {
    let config = DatabaseConfig { url: Secret::new(database.url(Role::Orders)), echo, ..DatabaseConfig::default() };
    Pool::new(&config, "orders", &Process::default()).expect("a pool")
}

fn said(line: &Value) -> (&str, f64, Option<&str>) {
    let fields = &line["fields"];
    (fields["message"].as_str().expect("a statement"), fields["duration_ms"].as_f64().expect("a duration"), fields["error"].as_str())
}

#[tokio::test]
async fn each_statement_is_logged_with_its_duration_and_without_its_values() {
    let lines = Lines::default();
    tracing_subscriber::fmt().json().with_writer(lines.clone()).with_max_level(tracing::Level::INFO).init();
    let database = TestDatabase::create().await;
    let product = seed::product_id("COF-001");
    let available = || stock::table.find(product).select(stock::available);

    // off, as it is by default
    let silent = pool(&database, false);
    available().first::<i32>(&mut silent.get().await.expect("a connection")).await.expect("stock");
    assert_eq!(lines.take(), [Value::Null; 0]);

    // a process has several pools, and warns once
    let pools = [pool(&database, true), pool(&database, true)];
    let warned = lines.take();
    assert_eq!((warned.len(), warned[0]["level"].as_str()), (1, Some("WARN")), "{warned:?}");
    assert!(warned[0].to_string().contains("development"), "{warned:?}");

    let mut connection = pools[0].get().await.expect("a connection");
    available().first::<i32>(&mut connection).await.expect("stock");
    let heard = lines.take();
    let (statement, duration, error) = said(&heard[0]);
    assert_eq!((heard.len(), heard[0]["level"].as_str(), heard[0]["target"].as_str(), error), (1, Some("INFO"), Some("sql"), None));
    assert!(statement.starts_with("SELECT") && statement.contains("\"stock\"") && duration > 0.0, "{heard:?}");
    assert!(!heard[0].to_string().contains(&product.to_string()), "{heard:?}");

    // a transaction is seen whole, and what the server refuses while a statement runs is its failure
    let refused = connection.transaction(async |connection| {
        let taken = diesel::update(stock::table.find(product)).set(stock::available.eq(-1)).returning(stock::available);
        taken.get_result::<i32>(connection).await.map(drop)
    });
    assert!(refused.await.is_err());
    let heard = lines.take();
    let told: Vec<_> = heard.iter().map(said).map(|(text, _, error)| (text.split(' ').next().expect("a word"), error)).collect();
    assert_eq!(told, [("BEGIN", None), ("UPDATE", Some("CheckViolation")), ("ROLLBACK", None)], "{heard:?}");

    // of two at once each has its own line and its own time: the server answers in turn
    let slow = diesel::sql_query("SELECT pg_sleep(0.2)").execute(&mut &*connection);
    let quick = available().first::<i32>(&mut &*connection);
    let behind = diesel::sql_query("SELECT pg_sleep(0.2) AS again").execute(&mut &*connection);
    let (_, _, _) = futures::try_join!(slow, quick, behind).expect("three answers");
    let heard = lines.take();
    let of = |part: &str| heard.iter().map(said).find(|(text, ..)| text.contains(part)).expect(part).1;
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(of("pg_sleep(0.2)") >= 200.0 && of("again") >= 400.0 && of("stock") < of("again"), "{heard:?}");
}
