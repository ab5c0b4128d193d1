//! All SQL of the catalogue.

use db::connection::Connection;
use db::schema::catalog::products::{self, product_id};
use diesel::{ExpressionMethods, QueryDsl, QueryResult, SelectableHelper};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::product::{Page, Product};

/// Those of `ids` that there are, in any order.
pub(crate) async fn find(connection: &mut Connection, ids: &[Uuid]) -> QueryResult<Vec<Product>> {
    products::table.filter(product_id.eq_any(ids)).select(Product::as_select()).load(connection).await
}

/// A page, and one product more where there is a next page.
pub(crate) async fn page(connection: &mut Connection, page: Page) -> QueryResult<Vec<Product>> {
    // no UUID sorts before the nil UUID, and no product has it
    let after = page.after.unwrap_or(Uuid::nil());
    products::table
        .filter(product_id.gt(after))
        .order(product_id)
        .limit(i64::from(page.size) + 1)
        .select(Product::as_select())
        .load(connection)
        .await
}
