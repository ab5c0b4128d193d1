//! The test databases themselves.

use db::seed;
use db::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;

use crate::{count, open};

#[tokio::test]
async fn each_is_one_tests_own_and_goes_away_with_it() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let mut connection = open(&one.admin_url()).await;
    connection.batch_execute("DELETE FROM catalog.products").await.expect("deleted");
    let mut neighbour = open(&other.admin_url()).await;
    assert_eq!(count(&mut neighbour, "catalog.products").await, 200);
    assert_eq!(seed::products().len(), 200);

    let gone = format!("pg_database WHERE datname = '{}'", one.name());
    assert_eq!(count(&mut neighbour, &gone).await, 1);
    // its connection is still open
    drop(one);
    assert_eq!(count(&mut neighbour, &gone).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_at_once() {
    let databases = join_all((0..8).map(|_| TestDatabase::create())).await;
    for database in &databases {
        assert_eq!(count(&mut open(&database.admin_url()).await, "orders.stock").await, 200);
    }
}
