//! Products.

use proto::catalog::Product as ProtoProduct;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::Error,
    field::{Field, read_uuid},
    upstream::CATALOG_CACHE,
};

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProductId(Uuid);

impl Field for ProductId {
    const ALLOWED: &'static str = "must be a UUID";

    fn read(value: &Value) -> Option<Self> {
        read_uuid(value).map(Self)
    }
}

impl From<ProductId> for String {
    fn from(id: ProductId) -> Self {
        id.0.to_string()
    }
}

/// A product, as shown to everybody.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the API's own names")]
pub(crate) struct Product {
    product_id: String,
    sku: String,
    name: String,
    description: String,
    category: String,
    /// Decimal, two digits after the point.
    price: String,
    /// ISO 4217.
    currency: String,
    version: i64,
}

impl TryFrom<ProtoProduct> for Product {
    type Error = Error;

    fn try_from(product: ProtoProduct) -> Result<Self, Error> {
        let price = product.price.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "product.price" })?;
        Ok(Self {
            product_id: product.product_id,
            sku: product.sku,
            name: product.name,
            description: product.description,
            category: product.category,
            price: price.amount,
            currency: price.currency,
            version: product.version,
        })
    }
}
