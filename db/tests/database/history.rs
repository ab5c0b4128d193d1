//! The seeded past.

use std::cell::RefCell;

use db::migrate;
use db::roles::Role;
use db::seed::{self, MOST, SeedError, SeededOrders, SeededPosts};
use db::testing::{TestDatabase, role_passwords};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::sync::Notify;

use crate::{count, lines, open};

/// Milliseconds since 1970 that a UUIDv7 begins with (RFC 9562, section 5.7).
fn time_of(id: &str) -> String {
    format!("('x' || substr(replace({id}::text, '-', ''), 1, 12))::bit(48)::bigint")
}

/// Rows of the history that break a promise, by what was promised.
async fn broken(connection: &mut AsyncPgConnection) -> Vec<String> {
    let (order_time, post_time, comment_time) = (time_of("order_id"), time_of("post_id"), time_of("comment_id"));
    let promises = [
        (
            "totals are the sums of lines",
            "orders.orders o WHERE total_amount <> \
                (SELECT sum(quantity * unit_price) FROM orders.order_items i WHERE i.order_id = o.order_id)"
                .to_owned(),
        ),
        (
            "one to five lines",
            "orders.orders o \
                WHERE (SELECT count(*) FROM orders.order_items i WHERE i.order_id = o.order_id) NOT BETWEEN 1 AND 5"
                .into(),
        ),
        (
            "lines are numbered from 1",
            "(SELECT max(line) <> count(*) OR min(line) <> 1 AS bad \
                FROM orders.order_items GROUP BY order_id) l WHERE bad"
                .into(),
        ),
        (
            "each line another product",
            "(SELECT count(*) FROM orders.order_items GROUP BY order_id, product_id HAVING count(*) > 1) twice".into(),
        ),
        (
            "prices are the products'",
            "orders.order_items JOIN catalog.products USING (product_id) \
                WHERE unit_price <> price OR product_name <> name"
                .into(),
        ),
        (
            "ids tell the time",
            format!(
                "orders.orders WHERE {order_time} <> extract(epoch FROM created_at) * 1000 \
                OR substr(order_id::text, 15, 1) <> '7'"
            ),
        ),
        ("within the past year", "orders.orders WHERE NOT created_at BETWEEN now() - interval '366 days' AND now()".into()),
        ("updated after, and not in the future", "orders.orders WHERE NOT updated_at BETWEEN created_at AND now()".into()),
        (
            "versions count the steps",
            "orders.orders WHERE (version = 1) <> (status = 'placed') \
                OR (version = 1) <> (updated_at = created_at)"
                .into(),
        ),
        ("lines have orders", "orders.order_items LEFT JOIN orders.orders USING (order_id) WHERE orders.order_id IS NULL".into()),
        ("lines have stock", "orders.order_items LEFT JOIN orders.stock USING (product_id) WHERE stock.product_id IS NULL".into()),
        (
            "orders have customers",
            "orders.orders LEFT JOIN orders.customers USING (customer_id) WHERE customers.customer_id IS NULL".into(),
        ),
        ("addresses are unique", "(SELECT email FROM orders.customers GROUP BY email HAVING count(*) > 1) twice".into()),
        ("no events", "orders.outbox".into()),
        ("no stock is taken", format!("orders.stock WHERE available <> {}", seed::STOCK)),
        ("ids of posts tell the time", format!("catalog.posts WHERE {post_time} <> extract(epoch FROM created_at) * 1000")),
        ("ids of comments tell the time", format!("catalog.comments WHERE {comment_time} <> extract(epoch FROM created_at) * 1000")),
        (
            "comments follow their posts",
            "catalog.comments c LEFT JOIN catalog.posts p USING (post_id) \
                WHERE p.created_at IS NULL OR c.created_at < p.created_at OR c.created_at > now()"
                .into(),
        ),
        ("five comments at most", "(SELECT count(*) FROM catalog.comments GROUP BY post_id HAVING count(*) > 5) many".into()),
    ];
    let mut found = Vec::new();
    for (promise, from) in promises {
        match count(connection, &from).await {
            0 => {}
            rows => found.push(format!("{promise}: not so in {rows} rows")),
        }
    }
    found
}

fn quiet(_: u64, _: u64) {}

async fn seeded(database: &TestDatabase, orders: u64) -> SeededOrders {
    seed::orders(&database.admin_url(), orders, quiet).await.expect("a seed")
}

async fn whole(connection: &mut AsyncPgConnection) {
    assert_eq!(broken(connection).await, [""; 0]);
}

#[tokio::test]
async fn orders_are_whole_spread_over_the_year_and_in_every_status() {
    let database = TestDatabase::create().await;
    let told = RefCell::new(Vec::new());
    let made = seed::orders(&database.admin_url(), 3_000, |done, of| told.borrow_mut().push((done, of))).await.expect("a seed");
    assert_eq!((made.customers, made.orders, made.total), (10_000, 3_000, 3_000));
    assert_eq!(*told.borrow(), [(0, 3_000), (3_000, 3_000)]);
    let mut connection = open(&database.admin_url()).await;
    whole(&mut connection).await;
    assert_eq!(count(&mut connection, "orders.orders").await, 3_000);
    let written = count(&mut connection, "orders.order_items").await;
    assert_eq!(u64::try_from(written).expect("a count"), made.lines);
    assert!((8_500..9_500).contains(&written), "about three lines each: {written}");
    let months =
        "(SELECT count(*) FROM orders.orders GROUP BY date_bin('36.5 days', created_at, (SELECT min(created_at) FROM orders.orders))
        HAVING count(*) BETWEEN 250 AND 350) tenths";
    assert_eq!(count(&mut connection, months).await, 10, "evenly spread");
    let statuses = lines(&mut connection, "SELECT status AS line FROM orders.orders GROUP BY status ORDER BY count(*) DESC").await;
    assert_eq!((statuses.len(), &statuses[..2]), (5, &["delivered".to_owned(), "cancelled".to_owned()][..]), "{statuses:?}");
    let sold = "(SELECT count(*) AS n FROM orders.order_items GROUP BY product_id) s";
    assert_eq!(count(&mut connection, sold).await, 200, "every product is sold");
    assert_eq!(count(&mut connection, &format!("{sold} WHERE n > 400")).await, 1, "and one of them most of all");
}

#[tokio::test]
async fn asking_again_adds_what_is_missing_and_nothing_else() {
    let database = TestDatabase::create().await;
    let first = seeded(&database, 1_000).await;
    let mut connection = open(&database.admin_url()).await;
    let rows =
        "SELECT md5(string_agg(o::text, '' ORDER BY order_id)) AS line FROM orders.orders o WHERE order_id IN (SELECT order_id FROM kept)";
    connection.batch_execute("CREATE TEMP TABLE kept AS TABLE orders.orders").await.expect("a copy");
    let before = lines(&mut connection, rows).await;
    assert_eq!(seeded(&database, 1_000).await, SeededOrders { total: 1_000, ..SeededOrders::default() });
    assert_eq!(seeded(&database, 10).await, SeededOrders { total: 10, ..SeededOrders::default() });
    let more = seeded(&database, 2_345).await;
    assert_eq!((more.customers, more.orders, more.total), (0, 1_345, 2_345));
    assert_eq!(lines(&mut connection, rows).await, before);
    assert_eq!(count(&mut connection, "orders.orders").await, 2_345);
    let written = u64::try_from(count(&mut connection, "orders.order_items").await).expect("a count");
    assert_eq!(written, first.lines + more.lines);
    whole(&mut connection).await;
}

#[tokio::test]
async fn the_same_number_gives_the_same_orders_wherever_it_is_written() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    seeded(&one, 700).await;
    let (mut first, mut second) = (open(&one.admin_url()).await, open(&other.admin_url()).await);
    let start = lines(&mut first, "SELECT DISTINCT created_at::text AS line FROM orders.customers").await;
    assert_eq!(start.len(), 1, "all customers have been there since the history begins");
    // in steps, and with the same begin
    seeded(&other, 0).await;
    second.batch_execute(&format!("UPDATE orders.customers SET created_at = '{}'", start[0])).await.expect("the same begin");
    seeded(&other, 300).await;
    seeded(&other, 700).await;
    for table in ["orders.customers", "orders.orders", "orders.order_items"] {
        let rows = format!("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) AS line FROM {table} t");
        assert_eq!(lines(&mut first, &rows).await, lines(&mut second, &rows).await, "{table}");
    }
}

#[tokio::test]
async fn a_seed_that_was_interrupted_leaves_whole_orders_and_the_next_goes_on() {
    let database = TestDatabase::create().await;
    let url = database.admin_url();
    let begun = Notify::new();
    let told = |done, _| {
        if done > 0 {
            begun.notify_one();
        }
    };
    // in the midst of the second transaction
    let interrupted = tokio::select! {
        biased;
        () = begun.notified() => true,
        _ = seed::orders(&url, 60_000, told) => false,
    };
    assert!(interrupted);
    let next = seeded(&database, 60_000).await;
    assert_eq!((next.customers, next.orders, next.total), (0, 35_000, 60_000), "the first transaction was whole and the second was not");
    let mut connection = open(&url).await;
    assert_eq!(count(&mut connection, "orders.orders").await, 60_000);
    whole(&mut connection).await;
}

#[tokio::test]
async fn two_seeds_at_once_write_everything_once() {
    let database = TestDatabase::create().await;
    let (one, other) = tokio::join!(seeded(&database, 2_000), seeded(&database, 2_000));
    assert_eq!((one.orders + other.orders, one.customers + other.customers), (2_000, 10_000));
    whole(&mut open(&database.admin_url()).await).await;
}

#[tokio::test]
async fn posts_are_whole_and_survive_that_some_are_deleted() {
    let database = TestDatabase::create().await;
    let (url, mut connection) = (database.admin_url(), open(&database.admin_url()).await);
    let first = seed::posts(&url, 2_000, quiet).await.expect("a seed");
    assert_eq!((first.posts, first.total), (2_000, 2_000));
    let answers = u64::try_from(count(&mut connection, "catalog.comments").await).expect("a count");
    assert_eq!(answers, first.comments);
    assert!((4_500..5_500).contains(&answers), "nought to five each: {answers}");
    whole(&mut connection).await;
    assert_eq!(seed::posts(&url, 2_000, quiet).await.expect("again"), SeededPosts { total: 2_000, ..SeededPosts::default() });
    connection.batch_execute("DELETE FROM catalog.posts WHERE post_id::text LIKE '%a'").await.expect("deleted");
    let left = u64::try_from(count(&mut connection, "catalog.posts").await).expect("a count");
    let more = seed::posts(&url, 2_500, quiet).await.expect("more");
    assert_eq!((left + more.posts, more.total), (2_500, 2_500), "they come again");
    assert_eq!(count(&mut connection, "catalog.posts").await, 2_500);
    whole(&mut connection).await;
}

#[tokio::test]
async fn statistics_and_the_map_of_visible_pages_are_fresh_afterwards() {
    let database = TestDatabase::create().await;
    seeded(&database, 3_000).await;
    let fresh = "pg_class WHERE oid IN ('orders.orders'::regclass, 'orders.order_items'::regclass)
        AND reltuples >= 3000 AND relallvisible = relpages";
    assert_eq!(count(&mut open(&database.admin_url()).await, fresh).await, 2);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_way_out() {
    let database = TestDatabase::create().await;
    let many = seed::orders(&database.admin_url(), MOST + 1, quiet).await.expect_err("too many");
    assert!(matches!(many, SeedError::Count { what: "orders", count } if count == MOST + 1), "{many}");
    assert!(many.to_string().contains("0 to 10000000"), "{many}");
    assert!(seed::posts(&database.admin_url(), u64::MAX, quiet).await.is_err());

    let role = seed::posts(&database.url(Role::Catalog), 1, quiet).await.expect_err("no superuser").to_string();
    assert!(role.contains("permission denied") && role.ends_with("(the URL has to be an administrator's)"), "{role}");

    let empty = TestDatabase::empty().await;
    migrate::up(&empty.admin_url(), &role_passwords(), |_| ()).await.expect("up");
    let none = SeededOrders { customers: 10_000, ..SeededOrders::default() };
    assert_eq!(seed::orders(&empty.admin_url(), 0, quiet).await.expect("nought"), none);
    let bare = TestDatabase::empty().await;
    for missing in [
        seed::orders(&bare.admin_url(), 1, quiet).await.expect_err("no tables"),
        seed::posts(&bare.admin_url(), 1, quiet).await.expect_err("no tables"),
    ] {
        assert!(missing.to_string().contains("db migrate status"), "{missing}");
    }
}
