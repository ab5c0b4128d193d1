//! Pieces of products. The CHECK on `stock.available` keeps them from falling below zero, whoever writes.

use std::collections::BTreeMap;

use db::connection::Connection;
use db::schema::orders::stock;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, upsert::excluded};
use diesel_async::RunQueryDsl;
use events::contract::Item;
use uuid::Uuid;

use crate::stock::Stock;

/// Pieces of a product; None where it never was in stock.
pub(crate) async fn find_stock(connection: &mut Connection, product_id: Uuid) -> QueryResult<Option<i32>> {
    stock::table.find(product_id).select(stock::available).get_result(connection).await.optional()
}

/// Sets the pieces of a product, which need not have been in stock before. The number is absolute: what orders have taken until
/// then is in it already, or is forgotten; what orders at the same moment take afterwards is taken from it.
pub(crate) async fn set_stock(connection: &mut Connection, set: Stock) -> QueryResult<i32> {
    diesel::insert_into(stock::table)
        .values((stock::product_id.eq(set.product_id), stock::available.eq(set.available)))
        .on_conflict(stock::product_id)
        .do_update()
        .set(stock::available.eq(excluded(stock::available)))
        .returning(stock::available)
        .get_result(connection)
        .await
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
