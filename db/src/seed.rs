//! Demo data: products to buy and stock to buy them from. The same on every machine, so that documentation can name it.

use diesel::prelude::Insertable;
use diesel_async::{AsyncConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::connect::{ConnectError, connect, reason};
use crate::schema::{catalog::products, orders::stock};

mod assortment;
mod history;
use assortment::{CATEGORIES, Category, GRADES, Grade};
pub use history::{MOST, SeededOrders, SeededPosts, orders, posts};

/// Pieces of each product in stock.
pub const STOCK: i32 = 1_000_000;

/// A product of the demo assortment.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = products)]
pub struct Product {
    /// [`product_id`] of the SKU.
    pub product_id: Uuid,
    /// Such as `COF-001`: three letters of the category and a running number.
    pub sku: String,
    /// What a customer reads.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// In lower case, such as `coffee`.
    pub category: String,
    /// With two decimals.
    pub price: Decimal,
    /// ISO 4217; always `EUR`.
    pub currency: String,
}

#[derive(Insertable)]
#[diesel(table_name = stock)]
struct Stock {
    product_id: Uuid,
    available: i32,
}

/// How many rows were missing and have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seeded {
    /// Rows of `catalog.products`.
    pub products: usize,
    /// Rows of `orders.stock`.
    pub stock: usize,
}

/// Why there is no demo data.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement failed, and nothing was written.
    #[error("cannot write the demo data: {0} (are the migrations applied? `db migrate status` tells)")]
    Statement(#[from] diesel::result::Error),
    /// More is asked for than there may be.
    #[error("{count} {what} are too many; allowed: 0 to {MOST}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
    },
    /// Somebody else writes the history.
    #[error("another seed is at work on this database: wait until it is done")]
    Busy,
    /// A statement failed. What whole transactions have written stays; the next seed goes on from there.
    #[error("cannot {what}: {}{}", reason(source), hint(source))]
    Bulk {
        /// What it was for.
        what: &'static str,
        /// What Postgres says.
        source: tokio_postgres::Error,
    },
    /// Rows refer to others that are not there.
    #[error("{rows} rows of the history of {what} refer to rows that are not there: somebody deletes from this database")]
    Dangling {
        /// Of what.
        what: &'static str,
        /// How many.
        rows: i64,
    },
}

/// What there is to do about it.
fn hint(error: &tokio_postgres::Error) -> &'static str {
    let missing = [&SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN, &SqlState::INVALID_SCHEMA_NAME];
    match error.code() {
        Some(code) if missing.contains(&code) => " (are the migrations applied? `db migrate status` tells)",
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => " (the URL has to be an administrator's)",
        _ => "",
    }
}

impl SeedError {
    fn bulk(what: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Bulk { what, source }
    }
}

/// The id of the demo product with that SKU: the version 5 UUID of `urn:throughline:product:SKU` in the URL namespace of RFC 9562.
pub fn product_id(sku: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:throughline:product:{sku}").as_bytes())
}

/// The 200 products of the demo assortment, ordered by category and running number.
pub fn products() -> Vec<Product> {
    CATEGORIES.iter().flat_map(in_category).collect()
}

/// Writes [`products`] and [`STOCK`] pieces of each, in one transaction. What is there already stays as it is: stock that
/// was sold is not filled up, a price that was changed is kept.
///
/// # Errors
/// See [`SeedError`].
pub async fn demo(url: &str) -> Result<Seeded, SeedError> {
    let assortment = products();
    let pieces: Vec<_> = assortment.iter().map(|product| Stock { product_id: product.product_id, available: STOCK }).collect();
    let mut connection = connect(url).await?;
    let seeded = connection
        .transaction(async |transaction| {
            let products = diesel::insert_into(products::table).values(&assortment).on_conflict_do_nothing().execute(transaction).await?;
            let stock = diesel::insert_into(stock::table).values(&pieces).on_conflict_do_nothing().execute(transaction).await?;
            Ok::<_, diesel::result::Error>(Seeded { products, stock })
        })
        .await?;
    Ok(seeded)
}

fn in_category(category: &Category) -> Vec<Product> {
    let pairs = category.goods.iter().flat_map(|good| GRADES.iter().map(move |grade| (good, grade)));
    (1..).zip(pairs).map(|(number, ((good, cents), grade))| product(category, number, good, *cents, grade)).collect()
}

fn product(category: &Category, number: u32, good: &str, cents: i64, grade: &Grade) -> Product {
    let sku = format!("{}-{number:03}", category.code);
    Product {
        product_id: product_id(&sku),
        name: format!("{} {good}", grade.word),
        description: format!("{good} {}: {}.", category.made, grade.promise),
        category: category.name.to_owned(),
        // whole ten cents less one, as shops do
        price: Decimal::new(cents * grade.percent / 1000 * 10 - 1, 2),
        currency: "EUR".to_owned(),
        sku,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn two_hundred_different_products() {
        let all = products();
        assert_eq!(all.len(), 200);
        for key in [|p: &Product| p.sku.clone(), |p: &Product| p.name.clone(), |p: &Product| p.product_id.to_string()] {
            assert_eq!(all.iter().map(key).collect::<HashSet<_>>().len(), 200);
        }
    }

    #[test]
    fn prices_are_positive_and_have_two_decimals() {
        for product in products() {
            assert!(product.price > Decimal::ONE, "{product:?}");
            assert_eq!(product.price.scale(), 2, "{product:?}");
        }
    }

    /// Documentation names it: it may not move.
    #[test]
    fn the_first_product_is_known() {
        let first = products().remove(0);
        assert_eq!(first.sku, "COF-001");
        assert_eq!(first.product_id.to_string(), "42f9e583-3e11-5aaa-9721-bd1df8386bff");
        assert_eq!((first.name.as_str(), first.price.to_string().as_str()), ("Everyday Espresso Beans", "11.89"));
    }
}
