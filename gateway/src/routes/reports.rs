//! Reports over everybody's orders. They may take as long as `limits.report_timeout_ms`.

use actix_web::web::Json;

use crate::{
    caller::{Admin, By},
    error::Error,
    order::query::Period,
    query::InQuery,
    report::{RevenueByDay, TopCustomers, TopQuery, Values},
    upstream::Calls,
};

/// What each day has brought; cancelled orders are left out. Admins only.
#[utoipa::path(get, path = "/api/v1/reports/revenue-by-day", tag = "reports", security(("bearer" = [])), params(Period),
    responses((status = 200, description = "Days, by currency", body = RevenueByDay)))]
pub(super) async fn revenue_by_day(calls: Calls, by: By<Admin, InQuery<Period>>) -> Result<Json<RevenueByDay>, Error> {
    Ok(Json(calls.for_report().get_revenue_by_day(by.input.0.into()).await?.into()))
}

/// Who has ordered for most; cancelled orders are left out. Admins only.
#[utoipa::path(get, path = "/api/v1/reports/top-customers", tag = "reports", security(("bearer" = [])), params(Period, TopQuery),
    responses((status = 200, description = "Customers, by currency", body = TopCustomers)))]
pub(super) async fn top_customers(calls: Calls, by: By<Admin, InQuery<TopQuery>>) -> Result<Json<TopCustomers>, Error> {
    Ok(Json(calls.for_report().get_top_customers(by.input.0.into()).await?.into()))
}

/// What orders come to: percentiles of their sums, without cancelled ones. Admins only.
#[utoipa::path(get, path = "/api/v1/reports/order-values", tag = "reports", security(("bearer" = [])), params(Period),
    responses((status = 200, description = "Percentiles, by currency", body = Values)))]
pub(super) async fn order_values(calls: Calls, by: By<Admin, InQuery<Period>>) -> Result<Json<Values>, Error> {
    Ok(Json(calls.for_report().get_order_values(by.input.0.into()).await?.into()))
}
