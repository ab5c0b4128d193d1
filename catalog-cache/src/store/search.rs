//! Full-text search over `catalog.products`.

use db::connection::Connection;
use diesel::{
    QueryResult, QueryableByName, sql_query,
    sql_types::{BigInt, Float, Text},
};
use diesel_async::RunQueryDsl;

use crate::product::Product;

/// In SQL as it is: diesel has no counterpart of a tsvector. A query without a word that counts finds nothing.
const SEARCH: &str = "
    SELECT product_id, sku, name, description, category, price, currency, version, ts_rank(search, wanted) AS rank
    FROM catalog.products, websearch_to_tsquery('english', $1) AS wanted
    WHERE search @@ wanted ORDER BY rank DESC, product_id LIMIT $2";

/// A product, and how well it fits.
#[derive(QueryableByName)]
pub(crate) struct Hit {
    #[diesel(embed)]
    pub(crate) product: Product,
    #[diesel(sql_type = Float)]
    pub(crate) rank: f32,
}

/// What fits best, first.
pub(crate) async fn search(connection: &mut Connection, query: &str, limit: u32) -> QueryResult<Vec<Hit>> {
    sql_query(SEARCH).bind::<Text, _>(query).bind::<BigInt, _>(i64::from(limit)).load(connection).await
}
