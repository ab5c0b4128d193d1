//! What is counted and summed is what anybody counts and sums who reads all orders.

use std::collections::BTreeMap;

use proto::orders::{CurrencyStats, GetOrderStatsRequest, GetOrderStatsResponse, OrderStatus};
use rust_decimal::{Decimal, RoundingStrategy};
use uuid::Uuid;

use crate::{
    past::{Past, january, message},
    shop::{Shop, customer, fields, products},
};

const STATUSES: [(&str, OrderStatus); 5] = [
    ("placed", OrderStatus::Placed),
    ("paid", OrderStatus::Paid),
    ("shipped", OrderStatus::Shipped),
    ("delivered", OrderStatus::Delivered),
    ("cancelled", OrderStatus::Cancelled),
];

fn money(amount: Decimal) -> String {
    format!("{:.2}", amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
}

/// Sorted by status and by currency.
fn recomputed(orders: &[Past]) -> (Vec<(OrderStatus, u64)>, Vec<CurrencyStats>) {
    let count = |name: &str| orders.iter().filter(|order| order.status == name).count() as u64;
    let by_status = STATUSES.iter().map(|(name, status)| (*status, count(name))).collect();
    let mut amounts: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status != "cancelled") {
        amounts.entry(order.currency).or_default().push(order.total_amount);
    }
    let by_currency = amounts.into_iter().map(|(currency, mut amounts)| {
        amounts.sort();
        let (sum, number) = (amounts.iter().sum::<Decimal>(), Decimal::from(amounts.len()));
        let median = (amounts[(amounts.len() - 1) / 2] + amounts[amounts.len() / 2]) / Decimal::TWO;
        CurrencyStats {
            currency: currency.into(),
            orders: amounts.len() as u64,
            revenue: money(sum),
            average_amount: money(sum / number),
            median_amount: money(median),
            largest_amount: money(amounts[amounts.len() - 1]),
        }
    });
    (by_status, by_currency.collect())
}

fn told(stats: GetOrderStatsResponse) -> (Vec<(OrderStatus, u64)>, Vec<CurrencyStats>) {
    (stats.by_status.iter().map(|count| (count.status(), count.orders)).collect(), stats.by_currency)
}

/// Ninety-seven orders in three currencies, of two users and over a month; all of the yen are cancelled.
fn history(users: [Uuid; 2]) -> Vec<Past> {
    let order = |number: u32| {
        let currency = ["EUR", "EUR", "USD", "JPY"][number as usize % 4];
        Past {
            user_id: users[usize::from(number.is_multiple_of(3))],
            status: if currency == "JPY" { "cancelled" } else { STATUSES[number as usize % 5].0 },
            currency,
            total_amount: Decimal::new(i64::from(number * number % 1_013) * 37 + 1, 2),
            created_at: january(1 + number % 28, number % 24, i64::from(number)),
        }
    };
    let mut all: Vec<Past> = (1..=96).map(order).collect();
    all.push(Past { total_amount: Decimal::new(999_999_999_999, 2), ..Past::of(users[0], january(5, 5, 5)) });
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn counts_and_sums_are_those_of_the_orders_themselves() {
    let shop = Shop::open().await;
    let users = [Uuid::now_v7(), Uuid::now_v7()];
    let (all, mut connection) = (history(users), shop.connection().await);
    for order in &all {
        order.write(&mut connection).await;
    }
    let spans =
        [(None, None), (Some(january(3, 0, 0)), None), (None, Some(january(20, 0, 0))), (Some(january(7, 7, 0)), Some(january(9, 1, 0)))];
    for user in [None, Some(users[0]), Some(users[1]), Some(Uuid::now_v7())] {
        for (from, before) in spans {
            let fits = |order: &&Past| {
                user.is_none_or(|user| user == order.user_id)
                    && from.is_none_or(|from| order.created_at >= from)
                    && before.is_none_or(|before| order.created_at < before)
            };
            let chosen: Vec<Past> = all.iter().filter(fits).cloned().collect();
            let user_id = user.map(|user| user.to_string()).unwrap_or_default();
            let stats = shop
                .stats(GetOrderStatsRequest { user_id, created_from: message(from, 0), created_before: message(before, 0) })
                .await
                .unwrap();
            assert_eq!(told(stats), recomputed(&chosen), "{user:?} {from:?} {before:?}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_orders_every_status_is_there_with_none_and_no_currency_is() {
    let shop = Shop::open().await;
    let stats = shop.stats(GetOrderStatsRequest::default()).await.unwrap();
    assert_eq!(told(stats), recomputed(&[]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_even_number_has_the_middle_of_the_middle_two_rounded_to_the_cent() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "0.01", "EUR");
    shop.catalog.sell(pot, "Pot", "0.02", "EUR");
    for line in [(tea, 1), (pot, 1)] {
        shop.place(&ada, &[line], "").await.unwrap();
    }
    let cancelled = shop.place(&ada, &[(pot, 1_000)], "").await.unwrap().order.unwrap();
    shop.cancel(&cancelled.order_id).await.unwrap();
    let (by_status, by_currency) = told(shop.stats(GetOrderStatsRequest::default()).await.unwrap());
    assert_eq!(by_status[0..1], [(OrderStatus::Placed, 2)]);
    assert_eq!(by_status[4..], [(OrderStatus::Cancelled, 1)]);
    let [euro] = &by_currency[..] else { panic!("{by_currency:?}") };
    let amounts = [&euro.revenue, &euro.average_amount, &euro.median_amount, &euro.largest_amount];
    assert_eq!((euro.orders, amounts.map(String::as_str)), (2, ["0.03", "0.02", "0.02", "0.02"]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_wrong_fields_of_a_question_for_numbers_are_named() {
    let shop = Shop::open().await;
    let (late, early) = (message(january(2, 0, 0), 0), message(january(1, 0, 0), 0));
    let wrong = GetOrderStatsRequest { user_id: "ada".into(), created_from: late, created_before: early };
    assert_eq!(fields(&shop.stats(wrong).await.unwrap_err()), ["created_from", "user_id"]);
    shop.close().await;
}
