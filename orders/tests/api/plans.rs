//! What the service asks of a shop with a past is answered by the index that is there for it. The statements are taken from the
//! service itself, while a lock keeps them waiting.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use events::testing::eventually;
use futures::future::join;
use proto::orders::{
    CancelOrderRequest, GetOrderRequest, GetOrderStatsRequest, GetStockRequest, ListCustomersRequest, ListOrdersRequest, OrderStatus,
    UpdateOrderStatusRequest,
};
use uuid::Uuid;

use crate::{
    past::{january, message},
    shop::{Shop, customer, products},
};

const ORDERS: u64 = 20_000;

/// Nobody has this id.
static NOBODY: LazyLock<String> = LazyLock::new(|| Uuid::now_v7().to_string());

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

async fn open() -> Shop {
    let shop = Shop::open().await;
    db::seed::orders(&shop.database.admin_url(), ORDERS, |_, _| ()).await.unwrap();
    shop.run_sql("VACUUM (ANALYZE) orders.orders, orders.order_items, orders.customers").await;
    shop
}

/// The statement with which `call` first asks for rows of `table`.
async fn asked<T>(shop: &Shop, table: &str, call: impl Future<Output = T>) -> String {
    let mut gate = shop.connection().await;
    gate.batch_execute(&format!("BEGIN; LOCK TABLE orders.{table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    let read = async {
        eventually("it asks", async || shop.waiting().await == 1).await;
        let waiting = "SELECT query AS text FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'orders' AND wait_event_type = 'Lock'";
        let statement = sql_query(waiting).get_result::<Row>(&mut shop.connection().await).await.unwrap().text;
        gate.batch_execute("ROLLBACK").await.unwrap();
        statement
    };
    join(call, read).await.1
}

/// How Postgres goes about a statement, whatever its parameters are, in a session with these settings.
async fn plan(connection: &mut AsyncPgConnection, statement: &str, settings: &str) -> String {
    let parameters = (1..20).filter(|number| statement.contains(&format!("${number}"))).count();
    let prepare = format!("SET plan_cache_mode = force_generic_plan; {settings} DEALLOCATE ALL; PREPARE statement AS {statement}");
    connection.batch_execute(&prepare).await.unwrap();
    let arguments = if parameters == 0 { String::new() } else { format!(" ({})", vec!["NULL"; parameters].join(", ")) };
    explain(connection, &format!("EXECUTE statement{arguments}")).await
}

async fn explain(connection: &mut AsyncPgConnection, statement: &str) -> String {
    let lines: Vec<Line> = sql_query(format!("EXPLAIN {statement}")).load(connection).await.unwrap();
    lines.into_iter().map(|line| line.line).collect::<Vec<_>>().join("\n")
}

/// What the planner thinks it costs.
fn cost(plan: &str) -> f64 {
    let costs = plan.lines().next().unwrap().split("cost=").nth(1).unwrap();
    costs.split_once("..").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

/// `call` reads `table` by `index` and by nothing else, and does not sort.
async fn assert_indexed<T>(shop: &Shop, table: &str, index: &str, call: impl Future<Output = T>) -> String {
    let statement = asked(shop, table, call).await;
    let plan = plan(&mut shop.connection().await, &statement, "").await;
    assert!(plan.contains(index), "{index}: {statement}\n{plan}");
    assert!(!plan.contains("Seq Scan on orders") && !plan.contains("Seq Scan on order_items"), "{statement}\n{plan}");
    assert!(!plan.contains("Seq Scan on customers") && !plan.contains("Sort"), "{statement}\n{plan}");
    statement
}

/// Without the index that answers it, this statement costs at least so many times as much.
async fn assert_worse_without(shop: &Shop, index: &str, statement: &str, times: f64) {
    let mut connection = shop.connection().await;
    let with = plan(&mut connection, statement, "").await;
    connection.batch_execute(&format!("BEGIN; DROP INDEX orders.{index}")).await.unwrap();
    let without = plan(&mut connection, statement, "").await;
    connection.batch_execute("ROLLBACK").await.unwrap();
    assert!(cost(&without) > times * cost(&with), "{index}: {statement}\n{with}\n{without}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_has_an_id_is_found_by_it() {
    let shop = open().await;
    let get = |include_customer| shop.get_with(GetOrderRequest { order_id: NOBODY.clone(), include_customer, ..Default::default() });
    assert_indexed(&shop, "orders", "orders_pkey", get(false)).await;
    assert_indexed(&shop, "orders", "orders_pkey", get(true)).await;
    assert_indexed(&shop, "customers", "customers_pkey", get(true)).await;
    assert_indexed(&shop, "order_items", "order_items_pkey", get(false)).await;
    let page = ListOrdersRequest { page_size: 20, ..Default::default() };
    assert_indexed(&shop, "order_items", "order_items_pkey", shop.list_with(page)).await;

    let cancel = shop.cancel_with(CancelOrderRequest { order_id: NOBODY.clone(), ..Default::default() });
    let statement = assert_indexed(&shop, "orders", "orders_pkey", cancel).await;
    assert!(statement.contains("FOR NO KEY UPDATE"), "{statement}");
    let step = UpdateOrderStatusRequest { order_id: NOBODY.clone(), status: OrderStatus::Paid.into(), version: None };
    assert_indexed(&shop, "orders", "orders_pkey", shop.update(step)).await;

    for page_token in [String::new(), URL_SAFE_NO_PAD.encode([&b"c"[..], Uuid::nil().as_bytes()].concat())] {
        let list = async { shop.customers().list_customers(ListCustomersRequest { page_size: 20, page_token }).await };
        assert_indexed(&shop, "customers", "customers_pkey", list).await;
    }
    let [tea] = products();
    let get = async { shop.shelves().get_stock(GetStockRequest { product_id: tea.to_string() }).await };
    let get = asked(&shop, "stock", get).await;
    // two hundred products stand on two pages, which are read as soon
    let plan = plan(&mut shop.connection().await, &get, "SET enable_seqscan = off;").await;
    assert!(plan.contains("stock_pkey"), "{plan}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_list_is_an_indexs_order_begins_where_the_last_page_ended_and_would_cost_several_times_as_much_without() {
    let shop = open().await;
    let token = URL_SAFE_NO_PAD.encode([&b"o"[..], Uuid::now_v7().as_bytes()].concat());
    let (from, before) = (message(january(1, 0, 0), 0), message(january(2, 0, 0), 0));
    let all = || ListOrdersRequest { page_token: token.clone(), ..Default::default() };
    let own = || ListOrdersRequest { user_id: NOBODY.clone(), ..all() };
    let of_status = || ListOrdersRequest { status: OrderStatus::Paid.into(), ..all() };
    for (request, index) in [
        (all(), "orders_pkey"),
        (ListOrdersRequest { created_from: from, created_before: before, ..all() }, "orders_pkey"),
        (own(), "orders_by_customer"),
        (ListOrdersRequest { created_from: from, created_before: before, ..own() }, "orders_by_customer"),
        (ListOrdersRequest { status: OrderStatus::Paid.into(), ..own() }, "orders_by_customer"),
        (of_status(), "orders_by_status"),
        (ListOrdersRequest { created_from: from, created_before: before, ..of_status() }, "orders_by_status"),
    ] {
        let statement = assert_indexed(&shop, "orders", index, shop.list_with(request)).await;
        let plan = plan(&mut shop.connection().await, &statement, "").await;
        let condition = plan.lines().find(|line| line.contains("Index Cond")).unwrap();
        // by status it is a range of pairs
        assert!(condition.contains("order_id <") || condition.contains("order_id) <"), "{statement}\n{plan}");
    }
    for (request, index) in [(own(), "orders_by_customer"), (of_status(), "orders_by_status")] {
        let first = ListOrdersRequest { page_token: String::new(), ..request };
        let statement = assert_indexed(&shop, "orders", index, shop.list_with(first)).await;
        assert_worse_without(&shop, index, &statement, 2.0).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn orders_are_placed_repeated_and_changed_without_reading_a_table_from_end_to_end() {
    let shop = open().await;
    let ([tea, pot], ada) = (products(), customer());
    let scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables
        WHERE schemaname = 'orders' AND relname IN ('orders', 'order_items', 'customers')";
    let before = shop.number(scans).await;
    for number in 0..10 {
        let key = format!("key-{number}");
        let order = shop.place(&ada, &[(tea, 1), (pot, 2)], &key).await.unwrap().order.unwrap();
        assert!(shop.place(&ada, &[(tea, 1), (pot, 2)], &key).await.unwrap().replayed);
        shop.place(&customer(), &[(tea, 1)], "").await.unwrap();
        shop.step(&order.order_id, OrderStatus::Paid).await.unwrap();
        shop.cancel(&order.order_id).await.unwrap();
    }
    shop.end_sessions().await;
    assert_eq!(shop.number(scans).await, before);
    let indexes = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'orders_idempotency_key'";
    assert!(shop.number(indexes).await >= 10, "what is counted is counted by now");

    shop.catalog.delist(tea);
    let lookup = async { shop.place(&ada, &[(tea, 1)], "key-1").await };
    let statement = assert_indexed(&shop, "orders", "orders_idempotency_key", lookup).await;
    // a customer of many orders
    let whose = "UPDATE orders.orders SET customer_id = (SELECT customer_id FROM orders.customers LIMIT 1) WHERE idempotency_key IS NULL;
        ANALYZE orders.orders";
    shop.run_sql(whose).await;
    assert_worse_without(&shop, "orders_idempotency_key", &statement, 10.0).await;
    shop.close().await;
}

/// Statements of counts and sums are not kept: they are planned for the values that they come with.
async fn plan_of_stats(connection: &mut AsyncPgConnection, statement: &str, values: &str) -> String {
    // as a report does
    let settings = "SET random_page_cost = 1.1; SET work_mem = '32MB'; SET plan_cache_mode = force_custom_plan; DEALLOCATE ALL;";
    let types = "uuid, uuid, uuid, timestamptz, timestamptz";
    connection.batch_execute(&format!("{settings} PREPARE statement ({types}) AS {statement}")).await.unwrap();
    explain(connection, &format!("EXECUTE statement ({values})")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn counts_of_everybodys_orders_read_an_index_alone_and_those_of_a_user_and_of_a_time_their_part_of_one() {
    let shop = open().await;
    let mut connection = shop.connection().await;
    let statement = asked(&shop, "orders", shop.stats(GetOrderStatsRequest::default())).await;
    let (start, end) = (Uuid::nil(), Uuid::max());
    let all = plan_of_stats(&mut connection, &statement, &format!("NULL, '{start}', '{end}', NULL, NULL")).await;
    assert_eq!(all.matches("Index Only Scan using orders_by_status").count(), 2, "{all}");
    assert!(!all.contains("Seq Scan"), "{all}");
    let of_user = plan_of_stats(&mut connection, &statement, &format!("'{}', '{start}', '{end}', NULL, NULL", *NOBODY)).await;
    assert_eq!(of_user.matches("orders_by_customer").count(), 2, "{of_user}");
    // the ids of the last week: those of a moment begin with it
    let now = chrono::Utc::now();
    let week = now - chrono::TimeDelta::days(7);
    let first = Uuid::from_u128(u128::try_from(week.timestamp_millis()).unwrap() << 80);
    let lately = plan_of_stats(&mut connection, &statement, &format!("NULL, '{first}', '{end}', '{week}', '{now}'")).await;
    assert_eq!(lately.matches("orders_pkey").count(), 2, "{lately}");
    assert!(!lately.contains("Seq Scan"), "{lately}");
    assert!(cost(&lately) * 5.0 < cost(&all), "{lately}\n{all}");
    shop.close().await;
}
