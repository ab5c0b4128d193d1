//! `throughline.orders.v1.ReportService`

use proto::orders::{
    GetOrderValuesRequest, GetOrderValuesResponse, GetRevenueByDayRequest, GetRevenueByDayResponse, GetTopCustomersRequest,
    GetTopCustomersResponse, report_service_server::ReportService,
};
use tonic::{Request, Response, Status};

use super::request;
use crate::report::Reports;

/// Hands reports out. One per serving runtime.
pub(crate) struct Desk {
    reports: Reports,
}

impl Desk {
    pub(crate) fn new(reports: Reports) -> Self {
        Self { reports }
    }
}

#[tonic::async_trait]
impl ReportService for Desk {
    async fn get_revenue_by_day(&self, request: Request<GetRevenueByDayRequest>) -> Result<Response<GetRevenueByDayResponse>, Status> {
        let GetRevenueByDayRequest { created_from, created_before } = request.into_inner();
        let days = self.reports.revenue_by_day(&request::span(created_from, created_before)?).await?;
        Ok(Response::new(GetRevenueByDayResponse { days: days.into_iter().map(Into::into).collect() }))
    }

    async fn get_top_customers(&self, request: Request<GetTopCustomersRequest>) -> Result<Response<GetTopCustomersResponse>, Status> {
        let (period, number) = request::ranking(&request.into_inner())?;
        let customers = self.reports.top_customers(&period, number).await?;
        Ok(Response::new(GetTopCustomersResponse { customers: customers.into_iter().map(Into::into).collect() }))
    }

    async fn get_order_values(&self, request: Request<GetOrderValuesRequest>) -> Result<Response<GetOrderValuesResponse>, Status> {
        let GetOrderValuesRequest { created_from, created_before } = request.into_inner();
        let values = self.reports.order_values(&request::span(created_from, created_before)?).await?;
        Ok(Response::new(GetOrderValuesResponse { currencies: values.into_iter().map(Into::into).collect() }))
    }
}
