//! The statement that places an order.
//!
//! One round trip and one commit instead of seven: the statement is its own transaction, and each of its parts happens or
//! none. Stock rows are locked in the order of their ids, so that two orders of the same products cannot wait for each
//! other; the CHECK on `stock.available` refuses what is not there, the unique index a second order of one idempotency key.
//! The customer's row is written where it is missing or says something else: an upsert would lock it each time, and orders of
//! one customer would wait for each other's commit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::orders::stock;
use diesel::{
    ExpressionMethods, QueryDsl, QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::{DatabaseErrorKind, Error},
    sql_types::{Array, BigInt, Bytea, Integer, Nullable, Numeric, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use events::outbox::OutboxRow;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::customer::EMAIL_KEY;
use crate::{order::Order, wish::Wish};

/// Parts of the statement between its parameters, in order.
const LINES: &str = "WITH line AS (SELECT * FROM unnest(";
const STOCK: &str = ") WITH ORDINALITY AS line (product_id, product_name, quantity, unit_price, line)),
wanted AS (
    SELECT stock.product_id, line.quantity FROM orders.stock JOIN line USING (product_id)
    ORDER BY stock.product_id FOR UPDATE OF stock
),
taken AS (
    UPDATE orders.stock SET available = stock.available - wanted.quantity FROM wanted WHERE stock.product_id = wanted.product_id
),
customer AS (
    INSERT INTO orders.customers AS known (customer_id, username, email)
    SELECT given.* FROM (SELECT ";
const ORDER: &str = ") AS given (customer_id, username, email)
    WHERE NOT EXISTS (SELECT FROM orders.customers AS same WHERE same.customer_id = given.customer_id
        AND same.username = given.username AND same.email = given.email)
    ON CONFLICT (customer_id) DO UPDATE SET username = excluded.username, email = excluded.email
        WHERE (known.username, known.email) IS DISTINCT FROM (excluded.username, excluded.email)
),
placed AS (
    INSERT INTO orders.orders
        (order_id, customer_id, status, total_amount, currency, idempotency_key, request_hash, version, created_at, updated_at)
    VALUES (";
const ITEMS: &str = ")
),
item AS (
    INSERT INTO orders.order_items (order_id, line, product_id, product_name, quantity, unit_price)
    SELECT ";
const OUTBOX: &str = ", line, product_id, product_name, quantity, unit_price FROM line
)
INSERT INTO orders.outbox (event_id, topic, key, shard, payload, traceparent, tracestate) VALUES (";

pub(super) struct PlaceStatement<'a> {
    product_ids: Vec<Uuid>,
    product_names: Vec<&'a str>,
    quantities: Vec<i32>,
    unit_prices: Vec<Decimal>,
    wish: &'a Wish,
    order: &'a Order,
    request_hash: &'a [u8],
    event: &'a OutboxRow,
}

impl<'a> PlaceStatement<'a> {
    pub(super) fn new(wish: &'a Wish, order: &'a Order, request_hash: &'a [u8], event: &'a OutboxRow) -> Self {
        let items = &order.items;
        Self {
            product_ids: items.iter().map(|item| item.product_id).collect(),
            product_names: items.iter().map(|item| item.product_name.as_str()).collect(),
            quantities: items.iter().map(|item| i32::try_from(item.quantity).unwrap_or(i32::MAX)).collect(),
            unit_prices: items.iter().map(|item| item.unit_price).collect(),
            wish,
            order,
            request_hash,
            event,
        }
    }

    pub(super) async fn execute(self, connection: &mut Connection) -> QueryResult<usize> {
        RunQueryDsl::execute(self, connection).await
    }
}

impl QueryFragment<Pg> for PlaceStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let (buyer, order, event) = (&self.wish.buyer, self.order, self.event);
        out.push_sql(LINES);
        out.push_bind_param::<Array<SqlUuid>, _>(&self.product_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.product_names)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.quantities)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Numeric>, _>(&self.unit_prices)?;
        out.push_sql(STOCK);
        out.push_bind_param::<SqlUuid, _>(&buyer.user_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&buyer.username)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&buyer.email)?;
        out.push_sql(ORDER);
        out.push_bind_param::<SqlUuid, _>(&order.order_id)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&buyer.user_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&order.status)?;
        out.push_sql(", ");
        out.push_bind_param::<Numeric, _>(&order.total_amount)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&order.currency)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.wish.idempotency_key)?;
        out.push_sql(", ");
        out.push_bind_param::<Bytea, _>(self.request_hash)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&order.version)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, DateTime<Utc>>(&order.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, DateTime<Utc>>(&order.updated_at)?;
        out.push_sql(ITEMS);
        out.push_bind_param::<SqlUuid, _>(&order.order_id)?;
        out.push_sql(OUTBOX);
        out.push_bind_param::<SqlUuid, _>(&event.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(event.topic)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&event.key)?;
        out.push_sql(", ");
        out.push_bind_param::<SmallInt, _>(&event.shard)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&event.payload)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&event.traceparent)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&event.tracestate)?;
        out.push_sql(")");
        Ok(())
    }
}

// The text is always the same, so that the prepared statement is kept; diesel does not do that for `sql_query`.
impl QueryId for PlaceStatement<'_> {
    type QueryId = PlaceStatement<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for PlaceStatement<'_> {
    type SqlType = ();
}

impl<C> diesel::RunQueryDsl<C> for PlaceStatement<'_> {}

/// What the database did not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is too little of something.
    Stock,
    /// The idempotency key has an order already.
    Key,
    /// A customer who was made by a call would get the address of another one.
    Email,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Option<Self> {
        let Error::DatabaseError(kind, information) = error else { return None };
        match (kind, information.constraint_name()?) {
            (DatabaseErrorKind::CheckViolation, "stock_available_check")
            // the catalogue has the product and the shelf never had
            | (DatabaseErrorKind::ForeignKeyViolation, "order_items_product_id_fkey") => Some(Self::Stock),
            (DatabaseErrorKind::UniqueViolation, "orders_idempotency_key") => Some(Self::Key),
            (DatabaseErrorKind::UniqueViolation, EMAIL_KEY) => Some(Self::Email),
            _ => None,
        }
    }
}

/// The products of which there are fewer pieces than wanted.
pub(super) async fn short_of(connection: &mut Connection, lines: &[(Uuid, u32)]) -> QueryResult<Vec<Uuid>> {
    let ids: Vec<Uuid> = lines.iter().map(|(product_id, _)| *product_id).collect();
    let query = stock::table.filter(stock::product_id.eq_any(ids)).select((stock::product_id, stock::available));
    let available: BTreeMap<Uuid, i32> = query.load(connection).await?.into_iter().collect();
    let is_short = |(id, wanted): &&(Uuid, u32)| i64::from(available.get(id).copied().unwrap_or_default()) < i64::from(*wanted);
    Ok(lines.iter().filter(is_short).map(|(id, _)| *id).collect())
}
