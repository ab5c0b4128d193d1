//! The events themselves. Names are those of the proto messages and columns; money is a decimal string.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::Event;

macro_rules! event {
    ($name:ident, $topic:expr, $aggregate:literal) => {
        impl Event for $name {
            const TYPE: &'static str = stringify!($name);
            const TOPIC: &'static str = $topic;
            const AGGREGATE: &'static str = $aggregate;
        }
    };
}

/// An account was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserCreated {
    /// The account.
    pub user_id: Uuid,
    /// Its name.
    pub username: String,
    /// Its e-mail address, in lower case.
    pub email: String,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(UserCreated, "user-events", "user");

/// A session was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserLoggedIn {
    /// Whose.
    pub user_id: Uuid,
    /// Which.
    pub session_id: Uuid,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(UserLoggedIn, "user-events", "user");

/// An account was changed: its name, address, role or password. The last two end its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserUpdated {
    /// The account.
    pub user_id: Uuid,
    /// Its name from now on.
    pub username: String,
    /// Its e-mail address from now on, in lower case.
    pub email: String,
    /// `user` or `admin`, from now on.
    pub role: String,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(UserUpdated, "user-events", "user");

/// An account was deleted, and its sessions ended with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserDeleted {
    /// The account that was.
    pub user_id: Uuid,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(UserDeleted, "user-events", "user");

/// A session was ended: by its user, by an admin, or since a spent refresh token came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserLoggedOut {
    /// Whose.
    pub user_id: Uuid,
    /// Which.
    pub session_id: Uuid,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(UserLoggedOut, "user-events", "user");

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// What.
    pub product_id: Uuid,
    /// Its name when it was ordered.
    pub product_name: String,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Price of a piece when it was ordered.
    #[schemars(with = "String")]
    pub unit_price: Decimal,
}

/// An order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: Uuid,
    /// Who placed it.
    pub user_id: Uuid,
    /// Their name.
    pub username: String,
    /// Where mail about the order goes.
    pub email: String,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Sum of the lines.
    #[schemars(with = "String")]
    pub total_amount: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(OrderPlaced, "orders.created", "order");

/// An order's status changed, other than to cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderUpdated {
    /// The order.
    pub order_id: Uuid,
    /// Who placed it.
    pub user_id: Uuid,
    /// Their name.
    pub username: String,
    /// Where mail about the order goes.
    pub email: String,
    /// The status from now on.
    pub status: String,
    /// When, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(OrderUpdated, "orders.updated", "order");

/// An order was cancelled and its stock given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: Uuid,
    /// Who placed it.
    pub user_id: Uuid,
    /// Their name.
    pub username: String,
    /// Where mail about the order goes.
    pub email: String,
    /// What had been ordered.
    pub items: Vec<Item>,
    /// What had been its sum.
    #[schemars(with = "String")]
    pub total_amount: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// When it had been placed, UTC.
    pub placed_at: DateTime<Utc>,
    /// When it was cancelled, UTC.
    pub timestamp: DateTime<Utc>,
}
event!(OrderCancelled, "orders.cancelled", "order");

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// It was placed.
    Placed,
    /// Its status changed.
    Updated,
    /// It was cancelled.
    Cancelled,
}

/// Somebody is to be told about an order. Made by dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRequested {
    /// What happened.
    pub change: OrderChange,
    /// The order.
    pub order_id: Uuid,
    /// Whom to address.
    pub username: String,
    /// Where to.
    pub email: String,
    /// The status, where it changed.
    pub status: Option<String>,
    /// The order's lines; empty where only the status changed.
    pub items: Vec<Item>,
    /// The order's sum, if known.
    #[schemars(with = "Option<String>")]
    pub total_amount: Option<Decimal>,
    /// ISO 4217; empty where there is no sum.
    pub currency: String,
}
event!(NotificationRequested, "notifications", "order");

/// A fact about an order, for the rollups. Made by dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRecorded {
    /// What happened.
    pub change: OrderChange,
    /// The order.
    pub order_id: Uuid,
    /// When it was placed, UTC: rollups count an order on that day.
    pub placed_at: DateTime<Utc>,
    /// The order's lines.
    pub items: Vec<Item>,
    /// The order's sum.
    #[schemars(with = "String")]
    pub total_amount: Decimal,
    /// ISO 4217.
    pub currency: String,
}
event!(OrderRecorded, "analytics", "order");
