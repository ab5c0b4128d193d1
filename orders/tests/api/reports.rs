//! Reports are right, have a time of their own, and leave the connections to the orders.

use std::{collections::BTreeMap, time::Duration};

use chassis::Process;
use chrono::NaiveDate;
use db::{pool::Pool, roles::Role};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use events::testing::eventually;
use futures::future::join_all;
use orders::{
    StatsConfig,
    report::{CustomerRevenue, DayRevenue, OrderValues, Reports, Turns},
};
use proto::orders::{GetOrderStatsRequest, GetStockRequest, ListCustomersRequest};
use rust_decimal::Decimal;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::{
    past::{Past, january, message},
    shop::{Shop, assert_unavailable, fields, products},
};

fn reports(shop: &Shop) -> Reports {
    let config = StatsConfig::default();
    let pool = Pool::new(&shop.database.patient(Role::Orders), "orders", &Process::default()).unwrap();
    Reports::new(&config, pool, Turns::new(&config))
}

/// Two hundred orders of nine customers in three currencies, over January; some of them around midnight.
fn history() -> Vec<Past> {
    let users: Vec<Uuid> = (0..9).map(|_| Uuid::now_v7()).collect();
    let order = |number: u32| Past {
        user_id: users[(number * number) as usize % 9],
        status: ["placed", "paid", "shipped", "delivered", "cancelled"][number as usize % 5],
        currency: ["EUR", "EUR", "USD", "JPY"][number as usize % 4],
        total_amount: Decimal::new(i64::from(number * number % 1_013) * 37 + 1, 2),
        created_at: january(1 + number % 27, [0, 23, 7][number as usize % 3], if number.is_multiple_of(3) { 0 } else { 3_599_999_999 }),
    };
    (1..=200).map(order).collect()
}

/// Those that are not cancelled, by a key.
fn sums<K: Ord>(orders: &[&Past], key: impl Fn(&Past) -> K) -> BTreeMap<K, (u64, Decimal)> {
    let mut sums = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status != "cancelled") {
        let (count, sum) = sums.entry(key(order)).or_insert((0, Decimal::ZERO));
        (*count, *sum) = (*count + 1, *sum + order.total_amount);
    }
    sums
}

fn by_day(orders: &[&Past]) -> Vec<DayRevenue> {
    let sums = sums(orders, |order| (order.created_at.date_naive(), order.currency.to_owned()));
    sums.into_iter().map(|((day, currency), (orders, revenue))| DayRevenue { day, currency, orders, revenue }).collect()
}

fn top(orders: &[&Past], number: usize) -> Vec<CustomerRevenue> {
    let mut all: Vec<CustomerRevenue> = sums(orders, |order| (order.currency.to_owned(), order.user_id))
        .into_iter()
        .map(|((currency, customer_id), (orders, revenue))| CustomerRevenue {
            currency,
            customer_id,
            username: "Ada".into(),
            orders,
            revenue,
        })
        .collect();
    all.sort_by(|one, other| (&one.currency, other.revenue, one.customer_id).cmp(&(&other.currency, one.revenue, other.customer_id)));
    all.chunk_by(|one, other| one.currency == other.currency).flat_map(|chunk| chunk[..chunk.len().min(number)].to_vec()).collect()
}

fn values(orders: &[&Past]) -> Vec<OrderValues> {
    let mut amounts: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status != "cancelled") {
        amounts.entry(order.currency).or_default().push(order.total_amount);
    }
    let values = amounts.into_iter().map(|(currency, mut amounts)| {
        amounts.sort();
        let at = |percent: usize| amounts[(amounts.len() * percent).div_ceil(100) - 1];
        let orders = amounts.len() as u64;
        OrderValues { currency: currency.into(), orders, p50: at(50), p90: at(90), p95: at(95), p99: at(99) }
    });
    values.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn revenue_by_day_best_customers_and_percentiles_are_those_of_the_orders_themselves() {
    let shop = Shop::open().await;
    let (all, reports, mut connection) = (history(), reports(&shop), shop.connection().await);
    for order in &all {
        order.write(&mut connection).await;
    }
    let spans =
        [(None, None), (Some(january(3, 0, 0)), None), (None, Some(january(20, 0, 0))), (Some(january(7, 7, 0)), Some(january(9, 1, 0)))];
    for (from, before) in spans {
        let fits =
            |order: &&Past| from.is_none_or(|from| order.created_at >= from) && before.is_none_or(|before| order.created_at < before);
        let chosen: Vec<&Past> = all.iter().filter(fits).collect();
        let span = (message(from, 0), message(before, 0));
        assert_eq!(reports.revenue_by_day(span.0, span.1).await.unwrap(), by_day(&chosen), "{from:?} {before:?}");
        for number in [1, 3, 100] {
            assert_eq!(reports.top_customers(span.0, span.1, number).await.unwrap(), top(&chosen, number as usize), "{from:?} {before:?}");
        }
        assert_eq!(reports.order_values(span.0, span.1).await.unwrap(), values(&chosen), "{from:?} {before:?}");
    }
    let days = reports.revenue_by_day(None, None).await.unwrap();
    assert_eq!(days[0].day, NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
    assert!(days.len() > 50, "{}", days.len());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_orders_reports_are_empty_and_what_is_no_question_is_named() {
    let shop = Shop::open().await;
    let reports = reports(&shop);
    assert!(reports.revenue_by_day(None, None).await.unwrap().is_empty());
    assert!(reports.top_customers(None, None, 100).await.unwrap().is_empty());
    assert!(reports.order_values(None, None).await.unwrap().is_empty());
    let (late, early) = (message(january(2, 0, 0), 0), message(january(1, 0, 0), 0));
    assert_eq!(fields(&reports.revenue_by_day(late, early).await.unwrap_err()), ["created_from"]);
    assert_eq!(fields(&reports.order_values(late, late).await.unwrap_err()), ["created_from"]);
    for number in [0, 101, u32::MAX] {
        assert_eq!(fields(&reports.top_customers(late, early, number).await.unwrap_err()), ["created_from", "number"]);
    }
    shop.close().await;
}

/// Keeps everybody from reading orders, as long as the connection lives.
async fn shut(shop: &Shop) -> AsyncPgConnection {
    let mut connection = shop.connection().await;
    connection.batch_execute("BEGIN; LOCK TABLE orders.orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_report_that_takes_too_long_is_unavailable_and_is_over_in_postgres_too() {
    let shop = Shop::open_with(|config| config.stats.timeout_ms = 300).await;
    let gate = shut(&shop).await;
    assert_unavailable("a report", &shop.stats(GetOrderStatsRequest::default()).await.unwrap_err());
    eventually("nobody waits any more", async || shop.waiting().await == 0).await;
    drop(gate);
    eventually("a report again", async || shop.stats(GetOrderStatsRequest::default()).await.is_ok()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_report_that_nobody_waits_for_any_more_is_over_in_postgres_long_before_its_time() {
    let shop = Shop::open_with(|config| config.stats.timeout_ms = 600_000).await;
    let gate = shut(&shop).await;
    let mut request = Request::new(GetOrderStatsRequest::default());
    request.set_timeout(Duration::from_millis(500));
    let mut client = shop.client.clone();
    let ask = chassis::spawn(async move { client.get_order_stats(request).await });
    eventually("it is under way", async || shop.waiting().await == 1).await;
    // whose clock is first
    assert!(matches!(ask.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded | Code::Cancelled));
    eventually("it is over", async || shop.waiting().await == 0).await;
    drop(gate);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_many_reports_two_are_worked_on_and_the_others_take_no_connection_from_anybody() {
    let shop = Shop::open_with(|config| {
        config.database.pool_size = 3;
        config.stats.timeout_ms = 60_000;
    })
    .await;
    let gate = shut(&shop).await;
    let asked = join_all((0..10).map(|_| shop.stats(GetOrderStatsRequest::default())));
    let meanwhile = async {
        eventually("two are under way", async || shop.waiting().await == 2).await;
        let [tea] = products();
        for _ in 0..20 {
            shop.shelves().get_stock(GetStockRequest { product_id: tea.to_string() }).await.unwrap();
            shop.customers().list_customers(ListCustomersRequest::default()).await.unwrap();
            assert_eq!(shop.waiting().await, 2);
        }
        drop(gate);
    };
    let (answers, ()) = futures::future::join(asked, meanwhile).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_report_that_gets_no_turn_in_time_is_unavailable() {
    let shop = Shop::open_with(|config| {
        config.stats.timeout_ms = 1_000;
        config.stats.concurrency = 1;
    })
    .await;
    let gate = shut(&shop).await;
    for answer in join_all((0..5).map(|_| shop.stats(GetOrderStatsRequest::default()))).await {
        assert_unavailable("a report", &answer.unwrap_err());
    }
    drop(gate);
    shop.close().await;
}
