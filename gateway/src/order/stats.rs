//! Orders counted.

use proto::orders::{CurrencyStats, GetOrderStatsResponse, StatusCount};
use serde::Serialize;
use utoipa::ToSchema;

use super::Status;
use crate::error::Error;

/// How many orders there are, and what they brought.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    by_status: Vec<ByStatus>,
    by_currency: Vec<ByCurrency>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ByStatus {
    status: Status,
    orders: u64,
}

/// Decimals with two digits after the point. Cancelled orders are left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct ByCurrency {
    /// ISO 4217.
    currency: String,
    orders: u64,
    revenue: String,
    average_amount: String,
    median_amount: String,
    largest_amount: String,
}

impl TryFrom<StatusCount> for ByStatus {
    type Error = Error;

    fn try_from(count: StatusCount) -> Result<Self, Error> {
        Ok(Self { status: Status::of(count.status())?, orders: count.orders })
    }
}

impl From<CurrencyStats> for ByCurrency {
    fn from(stats: CurrencyStats) -> Self {
        let CurrencyStats { currency, orders, revenue, average_amount, median_amount, largest_amount } = stats;
        Self { currency, orders, revenue, average_amount, median_amount, largest_amount }
    }
}

impl TryFrom<GetOrderStatsResponse> for Stats {
    type Error = Error;

    fn try_from(answer: GetOrderStatsResponse) -> Result<Self, Error> {
        let by_status = answer.by_status.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { by_status, by_currency: answer.by_currency.into_iter().map(Into::into).collect() })
    }
}
