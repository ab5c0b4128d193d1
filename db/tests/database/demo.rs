//! Demo data and schema.rs.

use db::connect::connect;
use db::migrate;
use db::seed::{self, STOCK, Seeded};
use db::testing::{TestDatabase, role_passwords};
use db::{generate, schema};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{count, open};

#[tokio::test]
async fn seeding_twice_gives_two_hundred_products() {
    let database = TestDatabase::empty().await;
    let url = database.admin_url();
    migrate::up(&url, &role_passwords(), |_| ()).await.expect("up");
    assert_eq!(seed::demo(&url).await.expect("the first seed"), Seeded { products: 200, stock: 200 });
    assert_eq!(seed::demo(&url).await.expect("the second seed"), Seeded { products: 0, stock: 0 });
    let mut connection = open(&url).await;
    assert_eq!(count(&mut connection, "catalog.products").await, 200);
    assert_eq!(count(&mut connection, &format!("orders.stock WHERE available = {STOCK}")).await, 200);
    assert_eq!(count(&mut connection, "catalog.products JOIN orders.stock USING (product_id)").await, 200);
}

#[tokio::test]
async fn seeding_again_leaves_sold_stock_and_changed_prices_and_replaces_what_is_lost() {
    let database = TestDatabase::create().await;
    let url = database.admin_url();
    let (sold, lost) = (seed::product_id("COF-001"), seed::product_id("BYK-020"));
    let mut connection = open(&url).await;
    let change = format!(
        "UPDATE orders.stock SET available = 7 WHERE product_id = '{sold}'; UPDATE catalog.products SET price = 1 WHERE product_id = '{sold}';
         DELETE FROM orders.stock WHERE product_id = '{lost}'; DELETE FROM catalog.products WHERE product_id = '{lost}'"
    );
    connection.batch_execute(&change).await.expect("changes");
    assert_eq!(seed::demo(&url).await.expect("a seed"), Seeded { products: 1, stock: 1 });
    assert_eq!(count(&mut connection, &format!("orders.stock WHERE product_id = '{sold}' AND available = 7")).await, 1);
    assert_eq!(count(&mut connection, &format!("catalog.products WHERE product_id = '{sold}' AND price = 1")).await, 1);
}

#[tokio::test]
async fn without_migrations_the_way_out_is_named() {
    let database = TestDatabase::empty().await;
    let seed = seed::demo(&database.admin_url()).await.expect_err("no tables").to_string();
    assert!(seed.contains("db migrate status"), "{seed}");
    let schema = generate::schema_rs(&database.admin_url()).await.expect_err("no tables").to_string();
    assert!(schema.contains("db migrate up"), "{schema}");
}

#[tokio::test]
async fn the_checked_in_schema_is_the_database() {
    let database = TestDatabase::create().await;
    let generated = generate::schema_rs(&database.admin_url()).await.expect("a schema");
    assert_eq!(generate::checked_in(), generated, "run `db schema --output db/src/schema.rs`");

    let mut connection = open(&database.admin_url()).await;
    connection.batch_execute("ALTER TABLE auth.users ADD COLUMN nickname text").await.expect("a change");
    let changed = generate::schema_rs(&database.admin_url()).await.expect("a schema");
    assert_ne!(generated, changed);
    assert!(changed.contains("            nickname -> Nullable<Text>,\n"), "{changed}");
}

/// The generated types fit the columns: every type that the schemas use is written and read back.
#[tokio::test]
async fn the_generated_types_fit_the_columns() {
    use schema::orders::{customers, orders};
    let database = TestDatabase::create().await;
    let mut connection = connect(&database.url(db::roles::Role::Orders)).await.expect("a connection");
    let (id, customer) = (Uuid::now_v7(), Uuid::now_v7());
    let buyer = (customers::customer_id.eq(customer), customers::username.eq("ada"), customers::email.eq("ada@example.org"));
    diesel::insert_into(customers::table).values(buyer).execute(&mut connection).await.expect("a customer");
    let total = Decimal::new(1189, 2);
    let order = (
        orders::order_id.eq(id),
        orders::customer_id.eq(customer),
        orders::status.eq("placed"),
        orders::total_amount.eq(total),
        orders::currency.eq("EUR"),
        orders::request_hash.eq(vec![1_u8, 2]),
    );
    diesel::insert_into(orders::table).values(order).execute(&mut connection).await.expect("an order");
    let read = orders::table
        .inner_join(customers::table)
        .select((orders::total_amount, orders::idempotency_key, orders::request_hash, orders::version, customers::username))
        .filter(orders::order_id.eq(id))
        .first::<(Decimal, Option<String>, Vec<u8>, i64, String)>(&mut connection)
        .await
        .expect("the order");
    assert_eq!(read, (total, None, vec![1, 2], 1, "ada".to_owned()));
}
