//! What `OrderService` and `ReportService` are asked, checked.

use prost_types::Timestamp;
use proto::orders::{GetOrderRequest, GetTopCustomersRequest, ListOrdersRequest, OrderStatus};

use crate::{
    error::OrderError,
    field::Fields,
    page::{List, Page},
    period::Period,
    status::{self, Status},
    store::{Filter, Wanted},
};

/// Customers of a currency that can be asked for, and those who are told of where no number is.
const MAX_CUSTOMERS: u32 = 100;
const USUAL_CUSTOMERS: u32 = 10;

pub(super) fn wanted(request: &GetOrderRequest) -> Result<Wanted, OrderError> {
    let mut fields = Fields::default();
    let (order_id, user_id) = (fields.uuid("order_id", &request.order_id), fields.optional_uuid("user_id", &request.user_id));
    fields.all_right()?;
    Ok(Wanted { order_id, user_id, customer: request.include_customer, items: !request.without_items })
}

pub(super) fn filter(request: &ListOrdersRequest) -> Result<(Filter, Page), OrderError> {
    let mut fields = Fields::default();
    let user_id = fields.optional_uuid("user_id", &request.user_id);
    let status = OrderStatus::try_from(request.status);
    if status.is_err() {
        fields.refuse("status", format!("must be one of {}, or unspecified", status::list(&Status::ALL)));
    }
    let period = Period::new(request.created_from, request.created_before, &mut fields);
    let page = Page::new(List::Orders, request.page_size, &request.page_token, &mut fields);
    fields.all_right()?;
    Ok((Filter { user_id, status: status.ok().and_then(asked), period }, page))
}

pub(super) fn span(from: Option<Timestamp>, before: Option<Timestamp>) -> Result<Period, OrderError> {
    let mut fields = Fields::default();
    let period = Period::new(from, before, &mut fields);
    fields.all_right()?;
    Ok(period)
}

/// Of when, and how many.
pub(super) fn ranking(request: &GetTopCustomersRequest) -> Result<(Period, u32), OrderError> {
    let mut fields = Fields::default();
    let period = Period::new(request.created_from, request.created_before, &mut fields);
    if request.number > MAX_CUSTOMERS {
        fields.refuse("number", format!("must be 1 to {MAX_CUSTOMERS}, or 0 for {USUAL_CUSTOMERS}"));
    }
    fields.all_right()?;
    Ok((period, if request.number == 0 { USUAL_CUSTOMERS } else { request.number }))
}

/// The status that an order is to get: cancelling, which gives stock back, is a call of its own.
pub(super) fn step(status: i32, fields: &mut Fields) -> Status {
    match OrderStatus::try_from(status).ok().and_then(asked) {
        Some(to @ (Status::Paid | Status::Shipped | Status::Delivered)) => to,
        None | Some(Status::Placed | Status::Cancelled) => {
            fields.refuse("status", "must be paid, shipped or delivered");
            Status::Placed
        }
    }
}

fn asked(status: OrderStatus) -> Option<Status> {
    match status {
        OrderStatus::Unspecified => None,
        OrderStatus::Placed => Some(Status::Placed),
        OrderStatus::Paid => Some(Status::Paid),
        OrderStatus::Shipped => Some(Status::Shipped),
        OrderStatus::Delivered => Some(Status::Delivered),
        OrderStatus::Cancelled => Some(Status::Cancelled),
    }
}
