//! Reports are right, have a time of their own, and leave the connections to the orders.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use chrono::NaiveDate;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use events::testing::eventually;
use futures::future::{FutureExt, join_all};
use prost_types::Timestamp;
use proto::orders::{
    CustomerRevenue, DayRevenue, GetOrderStatsRequest, GetOrderValuesRequest, GetRevenueByDayRequest, GetStockRequest,
    GetTopCustomersRequest, ListCustomersRequest, OrderValues,
};
use rust_decimal::Decimal;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::{
    past::{Past, january, message},
    shop::{Shop, assert_unavailable, fields, products},
};

/// What the service answers to all three.
#[derive(Debug, PartialEq)]
struct Told {
    days: Vec<DayRevenue>,
    customers: Vec<CustomerRevenue>,
    currencies: Vec<OrderValues>,
}

type Moment = Option<Timestamp>;

async fn days(shop: &Shop, created_from: Moment, created_before: Moment) -> Result<Vec<DayRevenue>, Status> {
    let answer = shop.reports().get_revenue_by_day(GetRevenueByDayRequest { created_from, created_before }).await;
    answer.map(|answer| answer.into_inner().days)
}

async fn best(shop: &Shop, created_from: Moment, created_before: Moment, number: u32) -> Result<Vec<CustomerRevenue>, Status> {
    let answer = shop.reports().get_top_customers(GetTopCustomersRequest { created_from, created_before, number }).await;
    answer.map(|answer| answer.into_inner().customers)
}

async fn amounts(shop: &Shop, created_from: Moment, created_before: Moment) -> Result<Vec<OrderValues>, Status> {
    let answer = shop.reports().get_order_values(GetOrderValuesRequest { created_from, created_before }).await;
    answer.map(|answer| answer.into_inner().currencies)
}

async fn told(shop: &Shop, from: Moment, before: Moment, number: u32) -> Told {
    let (days, customers) = (days(shop, from, before).await.unwrap(), best(shop, from, before, number).await.unwrap());
    Told { days, customers, currencies: amounts(shop, from, before).await.unwrap() }
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

fn money(amount: Decimal) -> String {
    format!("{amount:.2}")
}

fn by_day(orders: &[&Past]) -> Vec<DayRevenue> {
    let sums = sums(orders, |order| (order.created_at.date_naive(), order.currency.to_owned()));
    let day = |((day, currency), (orders, revenue)): ((NaiveDate, String), (u64, Decimal))| DayRevenue {
        day: day.format("%Y-%m-%d").to_string(),
        currency,
        orders,
        revenue: money(revenue),
    };
    sums.into_iter().map(day).collect()
}

fn top(orders: &[&Past], number: usize) -> Vec<CustomerRevenue> {
    let sums = sums(orders, |order| (order.currency.to_owned(), order.user_id));
    let mut all: Vec<_> = sums.into_iter().map(|((currency, id), (orders, revenue))| (currency, Reverse(revenue), id, orders)).collect();
    all.sort();
    let first = all.chunk_by(|one, other| one.0 == other.0).flat_map(|chunk| chunk.iter().take(number));
    let row = |(currency, revenue, id, orders): &(String, Reverse<Decimal>, Uuid, u64)| CustomerRevenue {
        currency: currency.clone(),
        customer_id: id.to_string(),
        username: "Ada".into(),
        orders: *orders,
        revenue: money(revenue.0),
    };
    first.map(row).collect()
}

fn values(orders: &[&Past]) -> Vec<OrderValues> {
    let mut amounts: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status != "cancelled") {
        amounts.entry(order.currency).or_default().push(order.total_amount);
    }
    let values = amounts.into_iter().map(|(currency, mut amounts)| {
        amounts.sort();
        let at = |percent: usize| money(amounts[(amounts.len() * percent).div_ceil(100) - 1]);
        let orders = amounts.len() as u64;
        OrderValues { currency: currency.into(), orders, p50: at(50), p90: at(90), p95: at(95), p99: at(99) }
    });
    values.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn revenue_by_day_best_customers_and_percentiles_are_those_of_the_orders_themselves() {
    let shop = Shop::open().await;
    let (all, mut connection) = (history(), shop.connection().await);
    for order in &all {
        order.write(&mut connection).await;
    }
    let spans =
        [(None, None), (Some(january(3, 0, 0)), None), (None, Some(january(20, 0, 0))), (Some(january(7, 7, 0)), Some(january(9, 1, 0)))];
    for (from, before) in spans {
        let fits =
            |order: &&Past| from.is_none_or(|from| order.created_at >= from) && before.is_none_or(|before| order.created_at < before);
        let chosen: Vec<&Past> = all.iter().filter(fits).collect();
        for number in [1, 3, 100] {
            let expected = Told { days: by_day(&chosen), customers: top(&chosen, number as usize), currencies: values(&chosen) };
            assert_eq!(told(&shop, message(from, 0), message(before, 0), number).await, expected, "{from:?} {before:?}");
        }
    }
    let days = days(&shop, None, None).await.unwrap();
    assert_eq!(days[0].day, "2026-01-01");
    assert!(days.len() > 50, "{}", days.len());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_customers_are_told_of_where_no_number_is_asked_for() {
    let shop = Shop::open().await;
    let mut connection = shop.connection().await;
    for _ in 0..12 {
        Past::of(Uuid::now_v7(), january(1, 0, 0)).write(&mut connection).await;
    }
    assert_eq!(best(&shop, None, None, 0).await.unwrap().len(), 10);
    assert_eq!(best(&shop, None, None, 11).await.unwrap().len(), 11);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_orders_reports_are_empty_and_what_is_no_question_is_named() {
    let shop = Shop::open().await;
    assert_eq!(told(&shop, None, None, 100).await, Told { days: vec![], customers: vec![], currencies: vec![] });
    let (late, early) = (message(january(2, 0, 0), 0), message(january(1, 0, 0), 0));
    assert_eq!(fields(&days(&shop, late, early).await.unwrap_err()), ["created_from"]);
    assert_eq!(fields(&amounts(&shop, late, late).await.unwrap_err()), ["created_from"]);
    let never = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    assert_eq!(fields(&days(&shop, never, never).await.unwrap_err()), ["created_before", "created_from"]);
    for number in [101, u32::MAX] {
        assert_eq!(fields(&best(&shop, late, early, number).await.unwrap_err()), ["created_from", "number"]);
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
    assert_unavailable("counts", &shop.stats(GetOrderStatsRequest::default()).await.unwrap_err());
    assert_unavailable("days", &days(&shop, None, None).await.unwrap_err());
    assert_unavailable("customers", &best(&shop, None, None, 1).await.unwrap_err());
    assert_unavailable("values", &amounts(&shop, None, None).await.unwrap_err());
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
    let ask = |number| {
        let shop = &shop;
        let counts = async move { shop.stats(GetOrderStatsRequest::default()).await.map(drop) };
        let values = async move { amounts(shop, None, None).await.map(drop) };
        if number % 2 == 0 { counts.left_future() } else { values.right_future() }
    };
    let asked = join_all((0..10).map(ask));
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
