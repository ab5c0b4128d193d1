//! Orders.

pub(crate) mod query;
pub(crate) mod stats;

use std::collections::HashMap;

use proto::orders::{self, OrderItem, OrderStatus, PlaceOrderRequest, UpdateOrderStatusRequest};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    customer::Customer,
    error::Error,
    field::{Field, Form, Object, id_field},
    page::IdempotencyKey,
    product::ProductId,
    time::moment,
    upstream::ORDERS,
};

id_field!(
    /// Which order.
    OrderId
);

#[derive(ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 1000)]
pub(crate) struct Quantity(u32);

impl Field for Quantity {
    const ALLOWED: &'static str = "must be 1 to 1000";

    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|quantity| (1..=1000).contains(quantity)).and_then(|quantity| u32::try_from(quantity).ok()).map(Self)
    }
}

/// So many pieces of a product.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    product_id: ProductId,
    quantity: Quantity,
}

/// `POST /orders`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrder {
    /// Each product once.
    #[schema(min_items = 1, max_items = 100)]
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

/// Where an order can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Placed,
    Paid,
    Shipped,
    Delivered,
    Cancelled,
}

impl Status {
    const ALL: [(Self, &'static str, OrderStatus); 5] = [
        (Self::Placed, "placed", OrderStatus::Placed),
        (Self::Paid, "paid", OrderStatus::Paid),
        (Self::Shipped, "shipped", OrderStatus::Shipped),
        (Self::Delivered, "delivered", OrderStatus::Delivered),
        (Self::Cancelled, "cancelled", OrderStatus::Cancelled),
    ];

    fn of(status: OrderStatus) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|(_, _, proto)| *proto == status);
        known.map(|(status, ..)| status).ok_or(Error::BrokenAnswer { service: ORDERS, what: "order.status" })
    }
}

impl Field for Status {
    const ALLOWED: &'static str = "must be placed, paid, shipped, delivered or cancelled";

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        Self::ALL.into_iter().find(|(_, name, _)| *name == text).map(|(status, ..)| status)
    }
}

impl From<Status> for OrderStatus {
    fn from(status: Status) -> Self {
        Status::ALL.into_iter().find(|(known, ..)| *known == status).map(|(.., proto)| proto).unwrap_or_default()
    }
}

/// `PUT /orders/{order_id}/status`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetStatus {
    /// `paid`, `shipped` or `delivered`: one step at a time. To cancel, DELETE the order.
    status: Status,
}

impl Form for SetStatus {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        Some(Self { status: object.field("status")? })
    }
}

impl SetStatus {
    /// The call that takes the step.
    pub(crate) fn into_request(self, id: OrderId, version: Option<i64>) -> UpdateOrderStatusRequest {
        UpdateOrderStatusRequest { order_id: id.into(), status: OrderStatus::from(self.status).into(), version }
    }
}

/// An order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Order {
    #[schema(format = Uuid)]
    order_id: String,
    #[schema(format = Uuid)]
    user_id: String,
    status: Status,
    /// Decimal, two digits after the point.
    total_amount: String,
    /// ISO 4217.
    currency: String,
    /// Empty where they were not asked for.
    items: Vec<Item>,
    #[schema(format = DateTime)]
    created_at: String,
    pub(crate) version: i64,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<Customer>,
}

/// One line of an order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Item {
    #[schema(format = Uuid)]
    product_id: String,
    /// As it was when the order was placed.
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
        Ok(Self {
            status: Status::of(order.status())?,
            created_at: moment(order.created_at, ORDERS, "order.created_at")?,
            order_id: order.order_id,
            user_id: order.user_id,
            total_amount: order.total_amount,
            currency: order.currency,
            items: order.items.into_iter().map(Into::into).collect(),
            version: order.version,
            customer: order.customer.map(TryInto::try_into).transpose()?,
        })
    }
}

impl TryFrom<Option<orders::Order>> for Order {
    type Error = Error;

    fn try_from(order: Option<orders::Order>) -> Result<Self, Error> {
        order.ok_or(Error::BrokenAnswer { service: ORDERS, what: "order" })?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

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
}
