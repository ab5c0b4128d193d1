//! Each migration, taken back and made again on a filled database, leaves alone what is not its own.

use db::migrate::{Down, Schema};
use db::seed;
use db::testing::TestDatabase;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use crate::migrations::{ALL, down, fill, up};
use crate::{count, lines, open};

/// Columns of our tables, as `TABLE COLUMNS`.
const COLUMNS: &str = "
    SELECT table_schema || '.' || table_name || ' ' || string_agg(quote_ident(column_name), ', ' ORDER BY column_name) AS line
    FROM information_schema.columns
    WHERE table_schema IN ('auth', 'catalog', 'orders', 'events') AND table_name NOT LIKE '\\_\\_diesel%'
    GROUP BY table_schema, table_name ORDER BY 1";

/// A table of ours and its columns.
struct Table {
    name: String,
    columns: String,
}

impl Table {
    /// Where its rows are remembered.
    fn copy(&self) -> String {
        format!("kept.\"{}\"", self.name)
    }
}

async fn tables(connection: &mut AsyncPgConnection) -> Vec<Table> {
    let rows = lines(connection, COLUMNS).await;
    let split = |row: &String| row.split_once(' ').map(|(name, columns)| Table { name: name.to_owned(), columns: columns.to_owned() });
    rows.iter().filter_map(split).collect()
}

async fn run(connection: &mut AsyncPgConnection, statement: &str) {
    connection.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Remembers all rows.
async fn remember(connection: &mut AsyncPgConnection) {
    run(connection, "CREATE SCHEMA kept").await;
    for table in tables(connection).await {
        run(connection, &format!("CREATE TABLE {} AS TABLE {}", table.copy(), table.name)).await;
        assert!(count(connection, &table.name).await > 0, "{} is not filled", table.name);
    }
}

/// Rows that differ from those remembered, in the columns that both have.
async fn differences(connection: &mut AsyncPgConnection) -> Vec<String> {
    let mut found = Vec::new();
    for table in tables(connection).await {
        let (copy, name, kept) = (table.copy(), &table.name, kept_columns(connection, &table).await);
        let (now, before) = (format!("SELECT {kept} FROM {name}"), format!("SELECT {kept} FROM {copy}"));
        let changed = count(connection, &format!("(({now} EXCEPT ALL {before}) UNION ALL ({before} EXCEPT ALL {now})) changed")).await;
        found.extend((changed > 0).then(|| format!("{changed} rows of {name}")));
    }
    found
}

/// The columns of a table that are still remembered.
async fn kept_columns(connection: &mut AsyncPgConnection, table: &Table) -> String {
    let known = format!(
        "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY column_name) AS line FROM information_schema.columns
         WHERE table_schema = 'kept' AND table_name = '{}' AND column_name = ANY(string_to_array('{}', ', '))",
        table.name,
        table.columns.replace('"', "")
    );
    lines(connection, &known).await.pop().expect("columns")
}

/// What a migration took away is gone for good: its rows and columns are not asked for any more.
async fn forget_what_is_gone(connection: &mut AsyncPgConnection) {
    let left = tables(connection).await;
    for copy in lines(connection, "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'kept'").await {
        match left.iter().find(|table| table.name == copy) {
            None => run(connection, &format!("TRUNCATE kept.\"{copy}\"")).await,
            Some(table) => {
                let gone = format!(
                    "SELECT quote_ident(column_name) AS line FROM information_schema.columns WHERE table_schema = 'kept'
                     AND table_name = '{copy}' AND column_name <> ALL(string_to_array('{}', ', '))",
                    table.columns.replace('"', "")
                );
                for column in lines(connection, &gone).await {
                    run(connection, &format!("ALTER TABLE kept.\"{copy}\" DROP COLUMN {column}")).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn rows_survive_each_migration_down_and_up_again() {
    let database = TestDatabase::create().await;
    let (url, mut connection) = (database.admin_url(), open(&database.admin_url()).await);
    fill(&mut connection).await;
    seed::orders(&url, 400, |_, _| ()).await.expect("orders");
    seed::posts(&url, 200, |_, _| ()).await.expect("posts");
    remember(&mut connection).await;
    for schema in Schema::ALL.into_iter().rev() {
        let own: Vec<_> = ALL.iter().filter(|name| name.starts_with(&format!("{schema}/"))).copied().collect();
        // the newest alone, then the newest two, and so on: each is taken back, and made again
        for steps in 1..=own.len() {
            let taken: Vec<_> = own.iter().rev().take(steps).copied().collect();
            assert_eq!(down(&database, Down::Steps { schema, steps }).await.expect("down"), taken);
            forget_what_is_gone(&mut connection).await;
            assert_eq!(differences(&mut connection).await, [""; 0], "after {taken:?} were taken back");
            assert_eq!(up(&database).await.expect("up"), own[own.len() - steps..]);
            assert_eq!(differences(&mut connection).await, [""; 0], "after {taken:?} were made again");
        }
    }
}
