//! All SQL of `analytics`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use db::connection::Connection;
use db::schema::events::{daily_orders, daily_users, product_sales};
use diesel::{ExpressionMethods, QueryResult, upsert::excluded};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::contract::{OrderChange, OrderRecorded};

/// Adds an order's units, or takes a cancelled one's away; returns the products' totals.
pub(super) async fn add_sales(connection: &mut Connection, order: &OrderRecorded) -> QueryResult<Vec<(Uuid, i64)>> {
    let sign: i64 = if order.change == OrderChange::Cancelled { -1 } else { 1 };
    // one lock order for all, so that two orders of the same products cannot wait for each other; and a product once, since
    // one statement cannot change a row twice
    let mut units = BTreeMap::<Uuid, i64>::new();
    for item in &order.items {
        *units.entry(item.product_id).or_default() += sign * i64::from(item.quantity);
    }
    let rows: Vec<_> = units.into_iter().map(|(id, units)| (product_sales::product_id.eq(id), product_sales::units.eq(units))).collect();
    diesel::insert_into(product_sales::table)
        .values(rows)
        .on_conflict(product_sales::product_id)
        .do_update()
        .set(product_sales::units.eq(product_sales::units + excluded(product_sales::units)))
        .returning((product_sales::product_id, product_sales::units))
        .get_results(connection)
        .await
}

/// Adds an order to its day.
pub(super) async fn add_order(connection: &mut Connection, order: &OrderRecorded) -> QueryResult<()> {
    let (orders, cancelled, revenue): (i64, i64, Decimal) = match order.change {
        OrderChange::Placed => (1, 0, order.total_amount),
        OrderChange::Cancelled => (0, 1, -order.total_amount),
        OrderChange::Updated => return Ok(()),
    };
    diesel::insert_into(daily_orders::table)
        .values((
            daily_orders::day.eq(order.placed_at.date_naive()),
            daily_orders::currency.eq(&order.currency),
            daily_orders::orders.eq(orders),
            daily_orders::cancelled.eq(cancelled),
            daily_orders::revenue.eq(revenue),
        ))
        .on_conflict((daily_orders::day, daily_orders::currency))
        .do_update()
        .set((
            daily_orders::orders.eq(daily_orders::orders + excluded(daily_orders::orders)),
            daily_orders::cancelled.eq(daily_orders::cancelled + excluded(daily_orders::cancelled)),
            daily_orders::revenue.eq(daily_orders::revenue + excluded(daily_orders::revenue)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Counts a registration.
pub(super) async fn add_registration(connection: &mut Connection, day: NaiveDate) -> QueryResult<()> {
    add_user_event(connection, day, 1, 0).await
}

/// Counts a login.
pub(super) async fn add_login(connection: &mut Connection, day: NaiveDate) -> QueryResult<()> {
    add_user_event(connection, day, 0, 1).await
}

async fn add_user_event(connection: &mut Connection, day: NaiveDate, registrations: i64, logins: i64) -> QueryResult<()> {
    diesel::insert_into(daily_users::table)
        .values((daily_users::day.eq(day), daily_users::registrations.eq(registrations), daily_users::logins.eq(logins)))
        .on_conflict(daily_users::day)
        .do_update()
        .set((
            daily_users::registrations.eq(daily_users::registrations + excluded(daily_users::registrations)),
            daily_users::logins.eq(daily_users::logins + excluded(daily_users::logins)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}
