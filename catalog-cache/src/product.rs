//! A product, and the places in the catalogue that requests name.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::status::Violation;
use db::schema::catalog::products;
use diesel::{Queryable, Selectable, pg::Pg};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::CatalogError;

/// The most ids that one request may name.
const MAX_BATCH: usize = 500;
/// Products on a page where the request names no number.
const DEFAULT_PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;

/// A row of `catalog.products`, and what stands in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = products, check_for_backend(Pg))]
#[allow(clippy::struct_field_names, reason = "the columns' names")]
pub(crate) struct Product {
    pub(crate) product_id: Uuid,
    sku: String,
    name: String,
    description: String,
    category: String,
    price: Decimal,
    currency: String,
    version: i64,
}

impl From<Product> for proto::catalog::Product {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.product_id.to_string(),
            sku: product.sku,
            name: product.name,
            description: product.description,
            category: product.category,
            price: Some(proto::catalog::Money { amount: format!("{:.2}", product.price), currency: product.currency }),
            version: product.version,
        }
    }
}

/// The id that stands in `field`.
pub(crate) fn read_id(field: impl Into<String>, text: &str) -> Result<Uuid, Violation> {
    text.parse().map_err(|_| Violation::new(field, "must be a UUID"))
}

/// The ids of a batch, in its order; all mistakes at once.
pub(crate) fn read_ids(texts: &[String]) -> Result<Vec<Uuid>, CatalogError> {
    if !(1..=MAX_BATCH).contains(&texts.len()) {
        return Err(Violation::new("product_ids", format!("must be 1 to {MAX_BATCH} ids")).into());
    }
    let (mut ids, mut violations) = (Vec::with_capacity(texts.len()), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match read_id(format!("product_ids[{index}]"), text) {
            Ok(id) => ids.push(id),
            Err(violation) => violations.push(violation),
        }
    }
    if violations.is_empty() { Ok(ids) } else { Err(CatalogError::Invalid(violations)) }
}

/// A page of the catalogue, which is ordered by id: a token names the last id of the page before, and so stays valid
/// while rows come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) size: u32,
    pub(crate) after: Option<Uuid>,
}

impl Page {
    pub(crate) fn read(size: u32, token: &str) -> Result<Self, CatalogError> {
        let after = if token.is_empty() { Some(None) } else { read_token(token).map(Some) };
        let size = match size {
            0 => Some(DEFAULT_PAGE),
            1..=MAX_PAGE => Some(size),
            _ => None,
        };
        if let (Some(size), Some(after)) = (size, after) {
            return Ok(Self { size, after });
        }
        let size = size.is_none().then(|| Violation::new("page_size", format!("must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")));
        let token = after.is_none().then(|| Violation::new("page_token", "must be the next_page_token of the page before, or empty"));
        Err(CatalogError::Invalid(size.into_iter().chain(token).collect()))
    }

    /// The token for the page after one that ends with `last`.
    pub(crate) fn token_after(last: &Product) -> String {
        URL_SAFE_NO_PAD.encode(last.product_id)
    }
}

fn read_token(token: &str) -> Option<Uuid> {
    URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(price: Decimal) -> Product {
        let text = || "x".to_owned();
        let (product_id, version) = (Uuid::nil(), 3);
        Product { product_id, sku: text(), name: text(), description: text(), category: text(), price, currency: "EUR".into(), version }
    }

    #[test]
    fn an_amount_has_exactly_two_digits_after_the_point() {
        for (price, amount) in [(Decimal::new(5, 0), "5.00"), (Decimal::new(199, 1), "19.90"), (Decimal::new(1, 2), "0.01")] {
            assert_eq!(proto::catalog::Product::from(product(price)).price.unwrap().amount, amount);
        }
    }

    #[test]
    fn what_the_cache_keeps_reads_back_the_same() {
        let product = product(Decimal::new(1990, 2));
        let json = serde_json::to_string(&product).unwrap();
        assert!(json.contains(r#""price":"19.90""#) && json.contains(r#""version":3"#), "{json}");
        assert_eq!(serde_json::from_str::<Product>(&json).unwrap(), product);
    }

    #[test]
    fn a_token_leads_back_to_where_it_was_made() {
        let last = product(Decimal::ONE);
        assert_eq!(Page::read(7, &Page::token_after(&last)).unwrap(), Page { size: 7, after: Some(Uuid::nil()) });
        assert_eq!(Page::read(0, "").unwrap(), Page { size: 20, after: None });
    }

    #[test]
    fn both_mistakes_of_a_page_are_named() {
        let Err(CatalogError::Invalid(violations)) = Page::read(101, "?") else { panic!("a page of 101") };
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["page_size", "page_token"]);
    }
}
