//! Orders that were never placed: their events, and what the rollups have to say of them.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDate};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{stores::leaderboard, wire::Wire};
use crate::{running::Mesh, truth::Truth};

const DAYS: usize = 5;
const PRODUCTS: usize = 40;
/// Cents.
const PRICE: usize = 250;

/// The `turn`-th order: a few days, a few products, one to three pieces.
fn pieces(turn: usize) -> usize {
    1 + turn % 3
}

fn day(turn: usize) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + Duration::days(i64::try_from(turn % DAYS).unwrap())
}

fn product(turn: usize) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + (turn % PRODUCTS) as u128)
}

fn money(cents: usize) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The event of the `turn`-th order.
pub(crate) fn placed(turn: usize) -> Value {
    let (order_id, quantity) = (Uuid::now_v7(), pieces(turn));
    let timestamp = format!("{}T12:00:00Z", day(turn));
    json!({
        "event_id": Uuid::now_v7(), "event_type": "OrderPlaced", "schema_version": 1, "aggregate_type": "order",
        "aggregate_id": order_id, "aggregate_version": 1, "occurred_at": timestamp,
        "data": {
            "order_id": order_id, "user_id": Uuid::now_v7(), "username": "ada", "email": format!("buyer{}@example.com", turn % 50),
            "items": [{ "product_id": product(turn), "product_name": "Tea", "quantity": quantity, "unit_price": money(PRICE) }],
            "total_amount": money(PRICE * quantity), "currency": "EUR", "timestamp": timestamp
        }
    })
}

/// The key of such an event.
pub(crate) fn key(event: &Value) -> String {
    event["aggregate_id"].as_str().unwrap().to_owned()
}

/// What the rollups of some orders are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rollups {
    /// Orders and revenue by day.
    days: BTreeMap<String, (i64, String)>,
    /// Pieces by product, in Postgres and in Redis.
    sales: BTreeMap<String, i64>,
    leaderboard: BTreeMap<String, i64>,
}

impl Rollups {
    /// Of the orders with these numbers.
    pub(crate) fn of(turns: impl Iterator<Item = usize>) -> Self {
        let (mut days, mut sales) = (BTreeMap::<String, (i64, usize)>::new(), BTreeMap::<String, i64>::new());
        for turn in turns {
            let of_day = days.entry(day(turn).to_string()).or_default();
            *of_day = (of_day.0 + 1, of_day.1 + PRICE * pieces(turn));
            *sales.entry(product(turn).to_string()).or_default() += i64::try_from(pieces(turn)).unwrap();
        }
        let days = days.into_iter().map(|(day, (orders, cents))| (day, (orders, money(cents)))).collect();
        Self { days, leaderboard: sales.clone(), sales }
    }

    /// Those that are there.
    pub(crate) async fn found(mesh: &Mesh, truth: &Truth) -> Self {
        let orders = truth.sold("SELECT day::text, orders FROM events.daily_orders").await;
        let mut days = BTreeMap::new();
        for (day, orders) in orders {
            let revenue = truth.text(&format!("SELECT revenue FROM events.daily_orders WHERE day = '{day}'")).await;
            days.insert(day, (orders, revenue));
        }
        let sales = truth.sold("SELECT product_id::text, units FROM events.product_sales").await;
        Self { days, sales, leaderboard: leaderboard(mesh) }
    }
}

/// How many orders the rollups have.
pub(crate) async fn counted(truth: &Truth) -> i64 {
    truth.number("SELECT coalesce(sum(orders), 0) FROM events.daily_orders").await
}

/// Sends good orders with these numbers to where orders are told.
pub(crate) fn send(wire: &Wire, turns: impl Iterator<Item = usize>) {
    let records = turns.map(placed).map(|event| (Some(key(&event)), event.to_string().into_bytes()));
    wire.send("orders.created", records);
}
