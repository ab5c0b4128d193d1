//! How many pieces there are. No input or output.

use uuid::Uuid;

use crate::{error::OrderError, field::Fields};

/// Pieces of a product that can be set: far below what the column holds, so that returned pieces have room.
const MAX: u32 = 1_000_000_000;

/// Pieces of a product, as they are to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) product_id: Uuid,
    pub(crate) available: i32,
    /// The version that the caller knows, where they name one.
    pub(crate) seen: Option<i64>,
}

/// Pieces of a product, as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) available: i32,
    /// How often they were set.
    pub(crate) version: i64,
}

impl Stock {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(product_id: &str, available: u32, seen: Option<i64>) -> Result<Self, OrderError> {
        let mut fields = Fields::default();
        let product_id = fields.uuid("product_id", product_id);
        let pieces = i32::try_from(available).ok().filter(|_| available <= MAX);
        if pieces.is_none() {
            fields.refuse("available", format!("must be 0 to {MAX}"));
        }
        fields.all_right()?;
        Ok(Self { product_id, available: pieces.unwrap_or_default(), seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_million_pieces_are_the_most() {
        let id = Uuid::now_v7().to_string();
        assert_eq!(Stock::new(&id, MAX, None).unwrap().available, 1_000_000_000);
        for available in [MAX + 1, u32::MAX] {
            assert!(matches!(Stock::new("", available, None), Err(OrderError::Invalid(fields)) if fields.len() == 2));
        }
    }
}
