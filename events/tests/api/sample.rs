//! Events and headers that tests send.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    consumer::Record,
    contract::{Item, NotificationRequested, OrderCancelled, OrderChange, OrderPlaced, OrderRecorded, OrderUpdated},
    envelope::{Envelope, Event},
};
use kafka::message::Headers;
use rust_decimal::{Decimal, dec};
use uuid::Uuid;

/// The trace that a test's caller is in.
pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn noon() -> DateTime<Utc> {
    "2026-03-05T12:00:00Z".parse().unwrap()
}

pub(crate) fn item(product: u128, quantity: u32) -> Item {
    Item { product_id: Uuid::from_u128(product), product_name: format!("Pot {product}"), quantity, unit_price: dec!(9.90) }
}

pub(crate) fn total(items: &[Item]) -> Decimal {
    items.iter().map(|item| item.unit_price * Decimal::from(item.quantity)).sum()
}

pub(crate) fn placed(order_id: Uuid, items: Vec<Item>) -> OrderPlaced {
    OrderPlaced {
        order_id,
        user_id: Uuid::from_u128(7),
        username: "Ada".into(),
        email: "ada@example.com".into(),
        total_amount: total(&items),
        items,
        currency: "EUR".into(),
        timestamp: noon(),
    }
}

pub(crate) fn updated(order_id: Uuid) -> OrderUpdated {
    OrderUpdated {
        order_id,
        user_id: Uuid::from_u128(7),
        username: "Ada".into(),
        email: "ada@example.com".into(),
        status: "shipped".into(),
        timestamp: noon(),
    }
}

pub(crate) fn cancelled(order_id: Uuid, items: Vec<Item>) -> OrderCancelled {
    OrderCancelled {
        order_id,
        user_id: Uuid::from_u128(7),
        username: "Ada".into(),
        email: "ada@example.com".into(),
        total_amount: total(&items),
        items,
        currency: "EUR".into(),
        placed_at: noon(),
        timestamp: noon(),
    }
}

pub(crate) fn notice(email: &str) -> Envelope<NotificationRequested> {
    let order_id = Uuid::now_v7();
    let items = vec![item(1, 2)];
    let notice = NotificationRequested {
        change: OrderChange::Placed,
        order_id,
        username: "Ada".into(),
        email: email.into(),
        status: None,
        total_amount: Some(total(&items)),
        items,
        currency: "EUR".into(),
    };
    Envelope::new(order_id, 1, notice)
}

pub(crate) fn fact(change: OrderChange, items: Vec<Item>) -> Envelope<OrderRecorded> {
    let order_id = Uuid::now_v7();
    let total_amount = total(&items);
    Envelope::new(order_id, 1, OrderRecorded { change, order_id, placed_at: noon(), items, total_amount, currency: "EUR".into() })
}

pub(crate) fn json<T: Event>(event: &Envelope<T>) -> String {
    serde_json::to_string(event).unwrap()
}

/// A record's headers; panics where one is there twice.
pub(crate) fn headers(record: &Record) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for header in record.headers.iter() {
        let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
        assert!(all.insert(header.key.to_owned(), value).is_none(), "{} is there twice", header.key);
    }
    all
}
