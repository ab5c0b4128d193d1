//! Reports over everybody's orders.

use proto::orders::{
    CustomerRevenue, DayRevenue, GetOrderValuesRequest, GetOrderValuesResponse, GetRevenueByDayRequest, GetRevenueByDayResponse,
    GetTopCustomersRequest, GetTopCustomersResponse, OrderValues,
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    order::query::Period,
    page::limit,
    query::{Params, QueryForm},
};

/// `GET /reports/top-customers`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopQuery {
    #[param(ignore)]
    period: Period,
    /// How many customers of each currency.
    #[param(required = false, minimum = 1, maximum = 100, default = 10)]
    limit: u32,
}

impl QueryForm for TopQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (period, limit) = (Period::read(params), limit(params, 10));
        Some(Self { period: period?, limit: limit? })
    }
}

impl From<Period> for GetRevenueByDayRequest {
    fn from(period: Period) -> Self {
        let (created_from, created_before) = period.ends();
        Self { created_from, created_before }
    }
}

impl From<TopQuery> for GetTopCustomersRequest {
    fn from(query: TopQuery) -> Self {
        let (created_from, created_before) = query.period.ends();
        Self { created_from, created_before, number: query.limit }
    }
}

impl From<Period> for GetOrderValuesRequest {
    fn from(period: Period) -> Self {
        let (created_from, created_before) = period.ends();
        Self { created_from, created_before }
    }
}

/// Oldest day first; days without orders are left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevenueByDay {
    items: Vec<Day>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Day {
    /// From midnight to midnight, UTC.
    #[schema(format = Date)]
    day: String,
    /// ISO 4217.
    currency: String,
    orders: u64,
    /// Decimal, two digits after the point.
    revenue: String,
}

/// Of each currency, who has ordered for most first.
#[derive(Serialize, ToSchema)]
pub(crate) struct TopCustomers {
    items: Vec<TopCustomer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TopCustomer {
    /// ISO 4217.
    currency: String,
    #[schema(format = Uuid)]
    customer_id: String,
    /// As it is now.
    username: String,
    orders: u64,
    /// Decimal, two digits after the point.
    revenue: String,
}

/// What orders come to, by currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct Values {
    items: Vec<OfCurrency>,
}

/// Each of the four is the sum of an order, the smallest that so many percent of all do not exceed: a decimal with two digits
/// after the point.
#[derive(Serialize, ToSchema)]
pub(crate) struct OfCurrency {
    /// ISO 4217.
    currency: String,
    orders: u64,
    p50: String,
    p90: String,
    p95: String,
    p99: String,
}

impl From<GetRevenueByDayResponse> for RevenueByDay {
    fn from(answer: GetRevenueByDayResponse) -> Self {
        let row = |DayRevenue { day, currency, orders, revenue }| Day { day, currency, orders, revenue };
        Self { items: answer.days.into_iter().map(row).collect() }
    }
}

impl From<GetTopCustomersResponse> for TopCustomers {
    fn from(answer: GetTopCustomersResponse) -> Self {
        let row = |CustomerRevenue { currency, customer_id, username, orders, revenue }| TopCustomer {
            currency,
            customer_id,
            username,
            orders,
            revenue,
        };
        Self { items: answer.customers.into_iter().map(row).collect() }
    }
}

impl From<GetOrderValuesResponse> for Values {
    fn from(answer: GetOrderValuesResponse) -> Self {
        let row = |OrderValues { currency, orders, p50, p90, p95, p99 }| OfCurrency { currency, orders, p50, p90, p95, p99 };
        Self { items: answer.currencies.into_iter().map(row).collect() }
    }
}
