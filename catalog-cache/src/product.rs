//! A product, and what one can be.

use db::schema::catalog::products;
use diesel::{AsChangeset, Insertable, Queryable, QueryableByName, Selectable, pg::Pg};
use proto::catalog::{Money, ProductDraft};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{error::CatalogError, field::Fields};

/// The most ids that one request may name.
const MAX_BATCH: usize = 500;
const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 4_000;

/// A row of `catalog.products`, and what stands in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Serialize, Deserialize)]
#[diesel(table_name = products, check_for_backend(Pg))]
#[allow(clippy::struct_field_names, reason = "the columns' names")]
pub(crate) struct Product {
    pub(crate) product_id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price: Decimal,
    pub(crate) currency: String,
    pub(crate) version: i64,
}

impl From<Product> for proto::catalog::Product {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.product_id.to_string(),
            sku: product.sku,
            name: product.name,
            description: product.description,
            category: product.category,
            price: Some(Money { amount: format!("{:.2}", product.price), currency: product.currency }),
            version: product.version,
        }
    }
}

/// A product as somebody wants it: checked.
#[derive(Debug, PartialEq, Eq, Insertable, AsChangeset)]
#[diesel(table_name = products)]
pub(crate) struct Draft {
    sku: String,
    name: String,
    description: String,
    category: String,
    price: Decimal,
    currency: String,
}

impl Draft {
    /// Checks the field `product` of a request.
    pub(crate) fn read(draft: Option<ProductDraft>, fields: &mut Fields) -> Self {
        let ProductDraft { sku, name, description, category, price } = draft.unwrap_or_default();
        let Money { amount, currency } = price.unwrap_or_default();
        let sku_sign = |sign: u8| sign.is_ascii_alphanumeric() || b"_-.".contains(&sign);
        let draft = Self {
            sku: fields.code("product.sku", sku, sku_sign, "letters, digits, `_`, `-` and `.`"),
            name: fields.line("product.name", name, MAX_NAME),
            description: fields.lines("product.description", description, 0, MAX_DESCRIPTION),
            category: fields.category("product.category", category),
            price: fields.amount("product.price.amount", &amount),
            currency,
        };
        if draft.currency.len() != 3 || !draft.currency.bytes().all(|sign| sign.is_ascii_uppercase()) {
            fields.refuse("product.price.currency", "must be an ISO 4217 code such as EUR");
        }
        draft
    }
}

/// The ids of a batch, in its order; all mistakes at once.
pub(crate) fn read_ids(texts: &[String]) -> Result<Vec<Uuid>, CatalogError> {
    let mut fields = Fields::default();
    if !(1..=MAX_BATCH).contains(&texts.len()) {
        fields.refuse("product_ids", format!("must be 1 to {MAX_BATCH} ids"));
        return fields.done(Vec::new());
    }
    let ids = texts.iter().enumerate().map(|(index, text)| fields.id(format!("product_ids[{index}]"), text)).collect();
    fields.done(ids)
}

#[cfg(test)]
impl Product {
    /// Some product: of the nil id, for 19.90 EUR, in its third version.
    pub(crate) fn example() -> Self {
        let (text, price) = (|| "x".to_owned(), Decimal::new(1990, 2));
        let (product_id, currency) = (Uuid::nil(), "EUR".to_owned());
        Self { product_id, sku: text(), name: text(), description: text(), category: text(), price, currency, version: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(price: Decimal) -> Product {
        Product { price, ..Product::example() }
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
    fn every_wrong_field_of_a_draft_is_named() {
        let mut fields = Fields::default();
        Draft::read(None, &mut fields);
        let Err(CatalogError::Invalid(violations)) = fields.done(()) else { panic!("an empty draft") };
        let named: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(named, ["product.sku", "product.name", "product.category", "product.price.amount", "product.price.currency"]);
    }
}
