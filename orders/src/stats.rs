//! Orders, counted and summed. No input or output.

use rust_decimal::Decimal;

use crate::status::Status;

/// What was asked of all orders of a user, or of everybody, in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Each status, in the order in which they follow each other.
    pub(crate) by_status: Vec<(Status, u64)>,
    /// In the order of the codes; without cancelled orders.
    pub(crate) by_currency: Vec<CurrencyStats>,
}

/// Money of one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrencyStats {
    pub(crate) currency: String,
    pub(crate) orders: u64,
    pub(crate) revenue: Decimal,
    pub(crate) average: Decimal,
    pub(crate) median: Decimal,
    pub(crate) largest: Decimal,
}
