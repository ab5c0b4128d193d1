//! Orders, counted and summed. No input or output.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

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

/// What the orders of a day came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DayRevenue {
    /// From midnight to midnight, UTC.
    pub(crate) day: NaiveDate,
    /// ISO 4217.
    pub(crate) currency: String,
    /// How many there were.
    pub(crate) orders: u64,
    /// Their sum.
    pub(crate) revenue: Decimal,
}

/// What a customer has ordered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerRevenue {
    /// ISO 4217.
    pub(crate) currency: String,
    /// Who.
    pub(crate) customer_id: Uuid,
    /// Their name now.
    pub(crate) username: String,
    /// How many orders there were.
    pub(crate) orders: u64,
    /// Their sum.
    pub(crate) revenue: Decimal,
}

/// How much an order is. Each of the four is the sum of an order: the smallest that so many percent of all do not exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderValues {
    /// ISO 4217.
    pub(crate) currency: String,
    /// How many orders there are.
    pub(crate) orders: u64,
    /// 50 %
    pub(crate) p50: Decimal,
    /// 90 %
    pub(crate) p90: Decimal,
    /// 95 %
    pub(crate) p95: Decimal,
    /// 99 %
    pub(crate) p99: Decimal,
}
