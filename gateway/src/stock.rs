//! Pieces in stock.

use proto::orders::SetStockRequest;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    field::{Field, Form, Object},
    product::ProductId,
};

#[derive(ToSchema)]
#[schema(value_type = u32, minimum = 0, maximum = 1_000_000_000)]
pub(crate) struct Pieces(u32);

impl Field for Pieces {
    const ALLOWED: &'static str = "must be a whole number from 0 to 1000000000";

    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|pieces| *pieces <= 1_000_000_000).and_then(|pieces| u32::try_from(pieces).ok()).map(Self)
    }
}

/// `PUT /products/{product_id}/stock`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetStock {
    /// Pieces from now on.
    available: Pieces,
}

impl Form for SetStock {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        Some(Self { available: object.field("available")? })
    }
}

impl SetStock {
    /// The call that sets it.
    pub(crate) fn into_request(self, product: ProductId, version: Option<i64>) -> SetStockRequest {
        SetStockRequest { product_id: product.into(), available: self.available.0, version }
    }
}

/// What there is of a product.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stock {
    /// Pieces.
    pub(crate) available: u32,
    /// Counts how often it was set; orders do not change it.
    pub(crate) version: i64,
}
