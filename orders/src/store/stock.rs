//! Pieces of products. The CHECK on `stock.available` keeps them from falling below zero, whoever writes.

use std::collections::BTreeMap;

use db::connection::Connection;
use db::schema::orders::stock;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, upsert::excluded};
use diesel_async::RunQueryDsl;
use events::contract::Item;
use uuid::Uuid;

use crate::{
    error::OrderError,
    stock::{Shelf, Stock},
};

/// Pieces of a product; None where it never was in stock.
pub(crate) async fn find_stock(connection: &mut Connection, product_id: Uuid) -> QueryResult<Option<Shelf>> {
    let found = stock::table.find(product_id).select((stock::available, stock::version)).get_result(connection).await.optional()?;
    Ok(found.map(shelf))
}

fn shelf((available, version): (i32, i64)) -> Shelf {
    Shelf { available, version }
}

/// Sets the pieces of a product, which need not have been in stock before. The number is absolute: what orders have taken until
/// then is in it already, or is forgotten; what orders at the same moment take afterwards is taken from it. One statement writes.
pub(crate) async fn set_stock(connection: &mut Connection, set: Stock) -> Result<Shelf, OrderError> {
    match set.seen {
        None => Ok(replace(connection, set).await?),
        Some(seen) => replace_seen(connection, set, seen).await,
    }
}

async fn replace(connection: &mut Connection, set: Stock) -> QueryResult<Shelf> {
    let row = diesel::insert_into(stock::table)
        .values((stock::product_id.eq(set.product_id), stock::available.eq(set.available)))
        .on_conflict(stock::product_id)
        .do_update()
        .set((stock::available.eq(excluded(stock::available)), stock::version.eq(stock::version + 1)))
        .returning((stock::available, stock::version))
        .get_result(connection)
        .await?;
    Ok(shelf(row))
}

/// Of two who have seen the same version the second waits for the first, and then finds another.
async fn replace_seen(connection: &mut Connection, set: Stock, seen: i64) -> Result<Shelf, OrderError> {
    let row = diesel::update(stock::table.find(set.product_id).filter(stock::version.eq(seen)))
        .set((stock::available.eq(set.available), stock::version.eq(stock::version + 1)))
        .returning((stock::available, stock::version))
        .get_result(connection)
        .await
        .optional()?;
    if let Some(row) = row {
        return Ok(shelf(row));
    }
    let there = find_stock(connection, set.product_id).await?;
    Err(there.map_or(OrderError::NotFound("stock of product", set.product_id), |shelf| OrderError::VersionMismatch(shelf.version)))
}

/// Adds the pieces of an order's lines, in one statement and in the order of the products' ids, as placing takes them.
pub(super) async fn give_back(connection: &mut Connection, items: &[Item]) -> QueryResult<()> {
    let pieces: BTreeMap<Uuid, i32> =
        items.iter().map(|item| (item.product_id, i32::try_from(item.quantity).unwrap_or_default())).collect();
    let rows: Vec<_> = pieces.into_iter().map(|(id, pieces)| (stock::product_id.eq(id), stock::available.eq(pieces))).collect();
    diesel::insert_into(stock::table)
        .values(rows)
        .on_conflict(stock::product_id)
        .do_update()
        .set(stock::available.eq(stock::available + excluded(stock::available)))
        .execute(connection)
        .await?;
    Ok(())
}
