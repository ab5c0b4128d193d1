//! The database crate against a real Postgres: `THROUGHLINE_TEST_POSTGRES_URL` names it, `./mesh test` starts it.
#![allow(clippy::expect_used, clippy::panic, reason = "the functions that tests share are tests too")]

mod cli;
mod constraints;
mod copies;
mod demo;
mod history;
mod kept;
mod migrations;
mod pool;
mod rights;

use db::connect::connect;
use diesel::prelude::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn open(url: &str) -> AsyncPgConnection {
    connect(url).await.expect("a connection")
}

/// The column `line` of each row.
async fn lines(connection: &mut AsyncPgConnection, query: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(query).load(connection).await.expect(query);
    rows.into_iter().map(|row| row.line).collect()
}

async fn count(connection: &mut AsyncPgConnection, from: &str) -> i64 {
    let query = format!("SELECT count(*) AS count FROM {from}");
    diesel::sql_query(&query).get_result::<Count>(connection).await.expect(&query).count
}
