//! Up, down, and what happens in between.

use std::time::Duration;

use db::connect::wait_until_ready;
use db::migrate::{self, Direction, Down, MigrateError, Schema};
use db::testing::{TestDatabase, role_passwords};
use db::{generate, seed};
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;

use crate::{count, lines, open};

pub(crate) const ALL: &[&str] = &[
    "auth/0001_users",
    "auth/0002_outbox",
    "auth/0003_avatars",
    "auth/0004_sessions",
    "catalog/0001_products",
    "catalog/0002_product_writes_and_search",
    "catalog/0003_posts",
    "orders/0001_orders",
    "orders/0002_outbox",
    "orders/0003_back_office",
    "orders/0004_reports",
    "orders/0005_stock_version",
    "events/0001_effects",
    "events/0002_mail_outbox",
];

fn quiet(_: &str) {}

fn names(steps: &[migrate::Step], direction: Direction) -> Vec<String> {
    assert!(steps.iter().all(|step| step.direction == direction));
    steps.iter().map(|step| format!("{}/{}", step.schema, step.migration)).collect()
}

pub(crate) async fn up(database: &TestDatabase) -> Result<Vec<String>, MigrateError> {
    migrate::up(&database.admin_url(), &role_passwords(), quiet).await.map(|steps| names(&steps, Direction::Up))
}

pub(crate) async fn down(database: &TestDatabase, target: Down) -> Result<Vec<String>, MigrateError> {
    migrate::down(&database.admin_url(), target, quiet).await.map(|steps| names(&steps, Direction::Down))
}

/// `schema/migration` of all that is pending.
async fn pending(database: &TestDatabase) -> Vec<String> {
    let all = migrate::status(&database.admin_url()).await.expect("a status");
    all.iter().flat_map(|schema| schema.pending.iter().map(move |name| format!("{}/{name}", schema.schema))).collect()
}

#[tokio::test]
async fn up_makes_everything_once() {
    let database = TestDatabase::empty().await;
    assert_eq!(pending(&database).await, ALL);
    assert_eq!(up(&database).await.expect("the first up"), ALL);
    assert_eq!(pending(&database).await, [""; 0]);
    assert_eq!(up(&database).await.expect("the second up"), [""; 0]);
}

#[tokio::test]
async fn a_status_leaves_no_trace() {
    let database = TestDatabase::empty().await;
    pending(&database).await;
    assert_eq!(
        count(&mut open(&database.admin_url()).await, "pg_namespace WHERE nspname IN ('auth', 'catalog', 'orders', 'events')").await,
        0
    );
}

#[tokio::test]
async fn a_filled_database_goes_down_and_up_again() {
    let database = TestDatabase::create().await;
    let mut connection = open(&database.admin_url()).await;
    fill(&mut connection).await;
    let reverse: Vec<_> = ALL.iter().rev().copied().collect();
    assert_eq!(down(&database, Down::All).await.expect("down"), reverse);
    let left = "SELECT n.nspname || '.' || c.relname AS line FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('auth', 'catalog', 'orders', 'events') AND c.relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(lines(&mut connection, left).await, [""; 0]);
    assert_eq!(up(&database).await.expect("up again"), ALL);
    assert_eq!(generate::schema_rs(&database.admin_url()).await.expect("a schema"), generate::checked_in());
    assert_eq!(seed::demo(&database.admin_url()).await.expect("a seed").products, 200);
}

pub(crate) async fn fill(connection: &mut diesel_async::AsyncPgConnection) {
    connection
        .batch_execute(
            "INSERT INTO auth.users (user_id, username, email, password_hash) VALUES (gen_random_uuid(), 'ada', 'ada@example.org', 'x');
             INSERT INTO auth.avatars (user_id, media_type, bytes, sha256) SELECT user_id, 'image/png', '\\x00', sha256('\\x00') FROM auth.users;
             INSERT INTO auth.sessions (session_id, user_id, opened_at, expires_at) SELECT gen_random_uuid(), user_id, now(), now() FROM auth.users;
             INSERT INTO auth.outbox (event_id, topic, key, shard, payload) VALUES (gen_random_uuid(), 'user-events', 'k', 3, '{}');
             INSERT INTO catalog.posts (post_id, author_id, author_username, title, body) SELECT user_id, user_id, username, 't', 'b' FROM auth.users;
             INSERT INTO catalog.comments (comment_id, post_id, author_id, author_username, body)
                SELECT gen_random_uuid(), post_id, author_id, author_username, 'c' FROM catalog.posts;
             INSERT INTO orders.customers (customer_id, username, email) SELECT user_id, username, email FROM auth.users;
             INSERT INTO orders.orders (order_id, customer_id, status, total_amount, currency, request_hash)
                SELECT gen_random_uuid(), customer_id, status, 11.89, 'EUR', '\\x00'
                FROM orders.customers, (VALUES ('placed'), ('delivered')) done (status);
             INSERT INTO orders.order_items SELECT order_id, 1, product_id, 'beans', 1, 11.89
                FROM orders.orders, (SELECT product_id FROM orders.stock LIMIT 1) piece;
             INSERT INTO orders.outbox (event_id, topic, key, shard, payload) VALUES (gen_random_uuid(), 'orders.created', 'k', 3, '{}');
             INSERT INTO events.processed_events VALUES ('analytics', gen_random_uuid());
             INSERT INTO events.mail_outbox (event_id, record, payload) VALUES (gen_random_uuid(), '{}', '{}');
             INSERT INTO events.daily_orders (day, currency) VALUES ('2026-11-21', 'EUR');
             INSERT INTO events.daily_users (day) VALUES ('2026-11-21');
             INSERT INTO events.product_sales (product_id) SELECT product_id FROM orders.stock LIMIT 1",
        )
        .await
        .expect("rows");
}

#[tokio::test]
async fn down_by_steps_takes_back_the_newest_of_one_schema() {
    let database = TestDatabase::create().await;
    let step = |schema, steps| Down::Steps { schema, steps };
    assert_eq!(down(&database, step(Schema::Orders, 1)).await.expect("one"), ["orders/0005_stock_version"]);
    assert_eq!(pending(&database).await, ["orders/0005_stock_version"]);
    let rest = ["orders/0004_reports", "orders/0003_back_office", "orders/0002_outbox", "orders/0001_orders"];
    assert_eq!(down(&database, step(Schema::Orders, 9)).await.expect("the rest"), rest);
    assert_eq!(down(&database, step(Schema::Orders, 1)).await.expect("none left"), [""; 0]);
    let all = ["orders/0001_orders", "orders/0002_outbox", "orders/0003_back_office", "orders/0004_reports", "orders/0005_stock_version"];
    assert_eq!(up(&database).await.expect("up"), all);
}

#[tokio::test]
async fn down_of_an_empty_database_does_nothing() {
    let database = TestDatabase::empty().await;
    assert_eq!(down(&database, Down::All).await.expect("down"), [""; 0]);
}

/// Two databases, since roles are made for the whole server and the lock is a database's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_at_once_do_the_work_once() {
    let databases = [TestDatabase::empty().await, TestDatabase::empty().await];
    let done = join_all(databases.iter().flat_map(|database| (0..4).map(move |_| up(database)))).await;
    let mut done: Vec<_> = done.into_iter().map(|steps| steps.expect("every job succeeds")).collect();
    done.sort_by_key(Vec::len);
    assert_eq!(done.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, ALL.len(), ALL.len()]);
    for database in &databases {
        assert_eq!(pending(database).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_migration_that_fails_is_rolled_back_named_and_done_later() {
    let database = TestDatabase::empty().await;
    let mut connection = open(&database.admin_url()).await;
    connection.batch_execute("CREATE SCHEMA orders; CREATE TABLE orders.stock (in_the_way int)").await.expect("an obstacle");
    let error = up(&database).await.expect_err("the table is there already").to_string();
    assert!(error.starts_with("migration orders/0001_orders failed and was rolled back: ") && error.contains("stock"), "{error}");
    let rest: Vec<&str> = ALL.iter().copied().skip_while(|name| !name.starts_with("orders/")).collect();
    assert_eq!(rest.len(), 7);
    assert_eq!(pending(&database).await, rest);
    assert_eq!(count(&mut connection, "pg_class WHERE relname = 'customers'").await, 0);

    connection.batch_execute("DROP TABLE orders.stock").await.expect("out of the way");
    assert_eq!(up(&database).await.expect("the rest"), rest);
}

#[tokio::test]
async fn what_a_newer_binary_did_is_reported_and_not_touched() {
    let database = TestDatabase::create().await;
    let mut connection = open(&database.admin_url()).await;
    connection.batch_execute("INSERT INTO catalog.__diesel_schema_migrations (version) VALUES ('9999')").await.expect("a row");
    let all = migrate::status(&database.admin_url()).await.expect("a status");
    let unknown: Vec<_> = all.iter().map(|schema| schema.unknown.len()).collect();
    assert_eq!(unknown, [0, 1, 0, 0]);
    assert_eq!(up(&database).await.expect("an older binary has nothing to add"), [""; 0]);
    let error = down(&database, Down::Steps { schema: Schema::Catalog, steps: 1 }).await.expect_err("unknown");
    assert!(matches!(error, MigrateError::Unknown { schema: Schema::Catalog, ref version } if version == "9999"), "{error}");
    assert_eq!(seed::demo(&database.admin_url()).await.expect("the table is still there").products, 0);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_at_once() {
    let database = TestDatabase::empty().await;
    let url = database.admin_url().replace(database.name(), "no_such_database");
    let patience = Duration::from_mins(1);
    let answer = tokio::time::timeout(patience / 4, wait_until_ready(&url, patience, quiet)).await.expect("no waiting");
    assert!(answer.expect_err("refused").to_string().contains("no_such_database"));
}
