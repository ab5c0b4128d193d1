//! Orders with their lines.

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::orders::{customers, order_items, orders};
use diesel::{
    BoxableExpression, ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, Selectable, SelectableHelper,
    dsl::{AsSelect, IntoBoxed, Select, sql},
    pg::Pg,
    sql_types::{Bool, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use events::contract::Item;
use futures::try_join;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::customer::CustomerRow;
use crate::{customer::Customer, error::OrderError, order::Order, page::Page, period::Period, status::Status};

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct OrderRow {
    order_id: Uuid,
    customer_id: Uuid,
    status: Status,
    total_amount: Decimal,
    currency: String,
    request_hash: Vec<u8>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
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

/// What is asked about one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) order_id: Uuid,
    /// Whose it has to be; None for anybody's.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) customer: bool,
    pub(crate) items: bool,
}

/// Which orders a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    /// None for everybody's.
    pub(crate) user_id: Option<Uuid>,
    /// None for all.
    pub(crate) status: Option<Status>,
    pub(crate) period: Period,
}

/// An order and, in the same statement, who placed it; its lines in one further statement, in the same round trip. Each where it is
/// wanted.
pub(crate) async fn find(connection: &Connection, wanted: &Wanted) -> Result<(Order, Option<Customer>), OrderError> {
    let lines = async { if wanted.items { load_items(connection, vec![wanted.order_id]).await } else { Ok(Vec::new()) } };
    // lines are written with their order and never change: it does not matter that each statement sees a moment of its own
    let ((row, customer), lines) = try_join!(find_row(connection, wanted), lines)?;
    let row = owned(row, wanted.order_id, wanted.user_id)?;
    Ok((Order { items: lines.into_iter().map(Into::into).collect(), ..row.into() }, customer))
}

async fn find_row(connection: &Connection, wanted: &Wanted) -> QueryResult<(Option<OrderRow>, Option<Customer>)> {
    let mut connection = connection;
    if !wanted.customer {
        let found = orders::table.find(wanted.order_id).select(OrderRow::as_select()).get_result(&mut connection).await.optional();
        return Ok((found?, None));
    }
    let query = orders::table.inner_join(customers::table).filter(orders::order_id.eq(wanted.order_id));
    let found = query.select((OrderRow::as_select(), CustomerRow::as_select())).get_result(&mut connection).await.optional()?;
    Ok(found.map(|(row, customer): (OrderRow, CustomerRow)| (row, customer.into())).unzip())
}

/// An order that nobody else changes until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, order_id: Uuid, user_id: Option<Uuid>) -> Result<Order, OrderError> {
    let query = orders::table.find(order_id).select(OrderRow::as_select()).for_no_key_update();
    let row = query.get_result(connection).await.optional()?;
    with_lines(connection, owned(row, order_id, user_id)?).await
}

/// Writes what a step changes.
pub(super) async fn save_step(connection: &mut Connection, order: &Order) -> QueryResult<()> {
    let change = (orders::status.eq(order.status), orders::version.eq(order.version), orders::updated_at.eq(order.updated_at));
    diesel::update(orders::table.find(order.order_id)).set(change).execute(connection).await?;
    Ok(())
}

type Query = IntoBoxed<'static, Select<orders::table, AsSelect<OrderRow, Pg>>, Pg>;

/// A page of orders, newest first.
pub(crate) async fn list(connection: &mut Connection, filter: &Filter, page: &Page) -> Result<Vec<Order>, OrderError> {
    let ids = filter.period.ids();
    let end = page.after.map_or(ids.end, |after| after.min(ids.end));
    let all: Query = orders::table.select(OrderRow::as_select()).into_boxed();
    let mut query = match (filter.user_id, filter.status) {
        (None, Some(status)) => all.filter(of_status(status, ids.start, end)).order((orders::status.desc(), orders::order_id.desc())),
        (None, None) => by_id(all, ids.start, end),
        (Some(user_id), None) => by_id(all, ids.start, end).filter(orders::customer_id.eq(user_id)),
        (Some(user_id), Some(status)) => {
            by_id(all, ids.start, end).filter(orders::customer_id.eq(user_id)).filter(orders::status.eq(status))
        }
    };
    if let Some(from) = filter.period.from {
        query = query.filter(orders::created_at.ge(from));
    }
    if let Some(before) = filter.period.before {
        query = query.filter(orders::created_at.lt(before));
    }
    let rows = query.limit(page.limit()).load(connection).await?;
    with_items(connection, rows).await
}

/// The range, where it is one. That of all ids is none: planned without its values, it would be thought to leave few rows, whatever else is
/// asked for.
fn by_id(mut query: Query, start: Uuid, end: Uuid) -> Query {
    if !start.is_nil() {
        query = query.filter(orders::order_id.ge(start));
    }
    if !end.is_max() {
        query = query.filter(orders::order_id.lt(end));
    }
    query.order(orders::order_id.desc())
}

/// Everybody's orders of one status, as a range of the index by status. Were it a status and a range of ids, Postgres might as well go
/// through all orders, the newest first, until it has found so many; of a status that is rare or old there are none for long.
fn of_status(status: Status, start: Uuid, end: Uuid) -> Box<dyn BoxableExpression<orders::table, Pg, SqlType = Bool>> {
    let range = sql::<Bool>("(orders.status, orders.order_id) >= (")
        .bind::<Text, _>(status)
        .sql(", ")
        .bind::<SqlUuid, _>(start)
        .sql(") AND (orders.status, orders.order_id) < (")
        .bind::<Text, _>(status)
        .sql(", ")
        .bind::<SqlUuid, _>(end)
        .sql(")");
    Box::new(range)
}

/// The order of an idempotency key, and the fingerprint of what was wanted.
pub(super) async fn find_by_key(connection: &mut Connection, user_id: Uuid, key: &str) -> Result<Option<(Order, Vec<u8>)>, OrderError> {
    let query = orders::table.filter(orders::customer_id.eq(user_id)).filter(orders::idempotency_key.eq(key));
    let Some(row) = query.select(OrderRow::as_select()).first(connection).await.optional()? else { return Ok(None) };
    let hash = row.request_hash.clone();
    Ok(Some((with_lines(connection, row).await?, hash)))
}

/// Nothing tells another's order from one that is not there.
fn owned(row: Option<OrderRow>, order_id: Uuid, user_id: Option<Uuid>) -> Result<OrderRow, OrderError> {
    row.filter(|row| user_id.is_none_or(|user_id| user_id == row.customer_id)).ok_or(OrderError::NotFound("order", order_id))
}

async fn with_lines(connection: &mut Connection, row: OrderRow) -> Result<Order, OrderError> {
    let order_id = row.order_id;
    with_items(connection, vec![row]).await?.pop().ok_or(OrderError::NotFound("order", order_id))
}

/// All lines of all orders in one statement.
async fn with_items(connection: &mut Connection, rows: Vec<OrderRow>) -> Result<Vec<Order>, OrderError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.order_id).collect();
    let items = load_items(connection, ids).await?;
    let mut orders: Vec<Order> = rows.into_iter().map(Order::from).collect();
    for item in items {
        if let Some(order) = orders.iter_mut().find(|order| order.order_id == item.order_id) {
            order.items.push(item.into());
        }
    }
    Ok(orders)
}

async fn load_items(connection: &Connection, ids: Vec<Uuid>) -> QueryResult<Vec<ItemRow>> {
    let query = order_items::table.filter(order_items::order_id.eq_any(ids)).order((order_items::order_id, order_items::line));
    query.select(ItemRow::as_select()).load(&mut &*connection).await
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
            updated_at: row.updated_at,
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
