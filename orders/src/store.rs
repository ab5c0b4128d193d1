//! All SQL of `orders`. A unit of work is one statement, or says where its transaction begins and ends.

mod place;

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::orders::{order_items, orders};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;
use events::{contract::Item, outbox::OutboxRow};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    error::OrderError,
    order::{Order, Wish},
};
use place::{PlaceStatement, Refusal};

/// How a wish was fulfilled.
pub(crate) enum Placed {
    /// By a new order.
    Now(Order),
    /// By the order that the same idempotency key placed before.
    Before(Order),
}

/// Places an order: customer, order, lines, stock and outbox in one statement, all or nothing. What the database refuses
/// is looked into only then.
pub(crate) async fn place(connection: &mut Connection, wish: &Wish, order: Order, event: &OutboxRow) -> Result<Placed, OrderError> {
    let fingerprint = wish.fingerprint();
    let statement = PlaceStatement::new(wish, &order, &fingerprint, event);
    let Err(error) = statement.execute(connection).await else {
        return Ok(Placed::Now(order));
    };
    let Some(refusal) = Refusal::of(&error) else {
        return Err(error.into());
    };
    // a repeat comes before everything else: the first request may have taken the last piece itself
    if let Some(earlier) = placed_before(connection, wish).await? {
        return Ok(earlier);
    }
    match refusal {
        Refusal::Stock => Err(OrderError::InsufficientStock(place::short_of(connection, &wish.lines).await?)),
        Refusal::Key => Err(OrderError::Unavailable("the order of the same key is not visible yet".into())),
    }
}

/// The order that the wish's idempotency key has placed, if there is one.
pub(crate) async fn placed_before(connection: &mut Connection, wish: &Wish) -> Result<Option<Placed>, OrderError> {
    let Some(key) = &wish.idempotency_key else { return Ok(None) };
    let Some((earlier, fingerprint)) = find_by_key(connection, wish.customer.user_id, key).await? else { return Ok(None) };
    if fingerprint == wish.fingerprint() { Ok(Some(Placed::Before(earlier))) } else { Err(OrderError::IdempotencyKeyReused) }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct OrderRow {
    order_id: Uuid,
    customer_id: Uuid,
    status: String,
    total_amount: Decimal,
    currency: String,
    request_hash: Vec<u8>,
    version: i64,
    created_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = order_items)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct ItemRow {
    order_id: Uuid,
    product_id: Uuid,
    product_name: String,
    quantity: i32,
    unit_price: Decimal,
}

/// A user's order.
pub(crate) async fn find(connection: &mut Connection, user_id: Uuid, order_id: Uuid) -> Result<Option<Order>, OrderError> {
    let query = orders::table.filter(orders::order_id.eq(order_id)).filter(orders::customer_id.eq(user_id));
    let row = query.select(OrderRow::as_select()).first(connection).await.optional()?;
    Ok(with_items(connection, row.into_iter().collect()).await?.pop())
}

/// A user's orders, newest first, from below `before` on.
pub(crate) async fn list(connection: &mut Connection, user_id: Uuid, before: Option<Uuid>, limit: i64) -> Result<Vec<Order>, OrderError> {
    let query = orders::table
        .filter(orders::customer_id.eq(user_id))
        .filter(orders::order_id.lt(before.unwrap_or(Uuid::max())))
        .order(orders::order_id.desc())
        .limit(limit);
    let rows = query.select(OrderRow::as_select()).load(connection).await?;
    with_items(connection, rows).await
}

async fn find_by_key(connection: &mut Connection, user_id: Uuid, key: &str) -> Result<Option<(Order, Vec<u8>)>, OrderError> {
    let query = orders::table.filter(orders::customer_id.eq(user_id)).filter(orders::idempotency_key.eq(key));
    let Some(row) = query.select(OrderRow::as_select()).first(connection).await.optional()? else { return Ok(None) };
    let hash = row.request_hash.clone();
    Ok(with_items(connection, vec![row]).await?.pop().map(|order| (order, hash)))
}

/// All lines of all orders in one statement.
async fn with_items(connection: &mut Connection, rows: Vec<OrderRow>) -> Result<Vec<Order>, OrderError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.order_id).collect();
    let query = order_items::table.filter(order_items::order_id.eq_any(ids)).order((order_items::order_id, order_items::line));
    let items: Vec<ItemRow> = query.select(ItemRow::as_select()).load(connection).await?;
    let mut orders: Vec<Order> = rows.into_iter().map(Order::from).collect();
    for item in items {
        if let Some(order) = orders.iter_mut().find(|order| order.order_id == item.order_id) {
            order.items.push(item.into());
        }
    }
    Ok(orders)
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        Self {
            order_id: row.order_id,
            user_id: row.customer_id,
            status: row.status,
            total_amount: row.total_amount,
            currency: row.currency,
            items: Vec::new(),
            created_at: row.created_at,
            version: row.version,
        }
    }
}

impl From<ItemRow> for Item {
    fn from(row: ItemRow) -> Self {
        Self {
            product_id: row.product_id,
            product_name: row.product_name,
            quantity: row.quantity.unsigned_abs(),
            unit_price: row.unit_price,
        }
    }
}
