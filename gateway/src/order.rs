//! Orders.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};
use proto::orders::{self, OrderItem, OrderStatus, PlaceOrderRequest};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::Error,
    field::{Field, Form, Object, read_uuid},
    page::IdempotencyKey,
    product::ProductId,
    upstream::ORDERS,
};

/// Which order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrderId(Uuid);

impl Field for OrderId {
    const ALLOWED: &'static str = "must be a UUID";

    fn read(value: &Value) -> Option<Self> {
        read_uuid(value).map(Self)
    }
}

impl From<OrderId> for String {
    fn from(id: OrderId) -> Self {
        id.0.to_string()
    }
}

struct Quantity(u32);

impl Field for Quantity {
    const ALLOWED: &'static str = "must be 1 to 1000";

    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|quantity| (1..=1000).contains(quantity)).and_then(|quantity| u32::try_from(quantity).ok()).map(Self)
    }
}

struct Line {
    product_id: ProductId,
    quantity: Quantity,
}

/// `POST /orders`
pub(crate) struct PlaceOrder {
    items: Vec<Line>,
}

impl Form for PlaceOrder {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let mut seen: HashMap<ProductId, usize> = HashMap::new();
        let items = object.list("items", &(1..=100), |index, line| {
            let (product_id, quantity) = (line.field("product_id"), line.field("quantity"));
            if let Some(first) = product_id.and_then(|id| seen.insert(id, index)) {
                line.wrong("product_id", &format!("must differ from items[{first}].product_id; add the quantities up"));
            }
            Some(Line { product_id: product_id?, quantity: quantity? })
        });
        Some(Self { items: items? })
    }
}

impl PlaceOrder {
    /// The product of each line.
    pub(crate) fn products(&self) -> Vec<ProductId> {
        self.items.iter().map(|line| line.product_id).collect()
    }

    /// The call that places it.
    pub(crate) fn into_request(self, caller: Caller, key: IdempotencyKey) -> PlaceOrderRequest {
        let item = |line: Line| orders::Item { product_id: line.product_id.into(), quantity: line.quantity.0 };
        PlaceOrderRequest {
            customer: Some(orders::Customer { user_id: caller.user_id, username: caller.username, email: caller.email }),
            items: self.items.into_iter().map(item).collect(),
            idempotency_key: key.0,
        }
    }
}

/// An order, as shown to the user who placed it.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the API's own names")]
pub(crate) struct Order {
    order_id: String,
    user_id: String,
    status: &'static str,
    /// Decimal, two digits after the point.
    total_amount: String,
    /// ISO 4217.
    currency: String,
    items: Vec<Item>,
    created_at: String,
    version: i64,
}

/// One line of an order.
#[derive(Serialize)]
pub(crate) struct Item {
    product_id: String,
    product_name: String,
    quantity: u32,
    /// Decimal, two digits after the point, in the order's currency.
    unit_price: String,
}

impl Order {
    /// Where it can be read again.
    pub(crate) fn location(&self) -> String {
        format!("/api/v1/orders/{}", self.order_id)
    }
}

impl From<OrderItem> for Item {
    fn from(item: OrderItem) -> Self {
        Self { product_id: item.product_id, product_name: item.product_name, quantity: item.quantity, unit_price: item.unit_price }
    }
}

impl TryFrom<orders::Order> for Order {
    type Error = Error;

    fn try_from(order: orders::Order) -> Result<Self, Error> {
        let broken = |what| Error::BrokenAnswer { service: ORDERS, what };
        let status = match order.status() {
            OrderStatus::Placed => "placed",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Unspecified => return Err(broken("order.status")),
        };
        let created_at = order.created_at.as_ref().and_then(|at| timestamp(at.seconds, at.nanos)).ok_or(broken("order.created_at"))?;
        Ok(Self {
            order_id: order.order_id,
            user_id: order.user_id,
            status,
            total_amount: order.total_amount,
            currency: order.currency,
            items: order.items.into_iter().map(Into::into).collect(),
            created_at,
            version: order.version,
        })
    }
}

impl TryFrom<Option<orders::Order>> for Order {
    type Error = Error;

    fn try_from(order: Option<orders::Order>) -> Result<Self, Error> {
        order.ok_or(Error::BrokenAnswer { service: ORDERS, what: "order" })?.try_into()
    }
}

/// RFC 3339, UTC, in microseconds; none where it is outside the calendar.
pub(crate) fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
    let at = DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHOE: &str = "01939d4c-0000-7000-8000-000000000001";

    fn wrong(body: &Value) -> Vec<String> {
        let violations = Object::read_body::<PlaceOrder>(body).err();
        violations.map(|found| found.list().iter().map(|violation| violation.field.clone()).collect()).unwrap_or_default()
    }

    #[test]
    fn a_quantity_is_a_whole_number_from_1_to_1000() {
        for quantity in [json!(0), json!(-1), json!(1.5), json!("3"), json!(1001), json!(1_000_000_000_000_u64), json!(1e300), json!(null)]
        {
            assert_eq!(wrong(&json!({"items": [{"product_id": SHOE, "quantity": quantity}]})), ["items[0].quantity"], "{quantity}");
        }
        assert_eq!(wrong(&json!({"items": [{"product_id": SHOE, "quantity": 1000}]})), [""; 0]);
    }

    #[test]
    fn a_product_may_stand_in_one_line_only_however_it_is_spelt() {
        let body = json!({"items": [{"product_id": SHOE, "quantity": 0}, {"product_id": SHOE.to_uppercase(), "quantity": 1, "price": 1}]});
        assert_eq!(wrong(&body), ["items[0].quantity", "items[1].product_id", "items[1].price"]);
    }

    #[test]
    fn an_order_has_1_to_100_lines() {
        let lines = |count: usize| json!({"items": vec![json!({"product_id": Uuid::now_v7().to_string(), "quantity": 1}); count]});
        assert_eq!(wrong(&lines(0)), ["items"]);
        assert_eq!(wrong(&lines(101)), ["items"]);
        assert_eq!(wrong(&json!({"items": {}})), ["items"]);
        assert_eq!(wrong(&json!({"items": [7]})), ["items[0]"]);
    }

    #[test]
    fn timestamps_are_utc() {
        assert_eq!(timestamp(0, 1_000).as_deref(), Some("1970-01-01T00:00:00.000001Z"));
        assert_eq!(timestamp(i64::MAX, 0), None);
        assert_eq!(timestamp(0, -1), None);
    }
}
