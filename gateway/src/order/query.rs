//! Which orders somebody asks for.

use prost_types::Timestamp;
use proto::orders::{GetOrderRequest, GetOrderStatsRequest, ListOrdersRequest, OrderStatus};
use serde_json::Value;
use utoipa::IntoParams;

use super::{OrderId, Status};
use crate::{
    caller::Caller,
    customer::CustomerId,
    error::Error,
    field::Field,
    page::PageQuery,
    query::{Params, QueryForm},
    time::Moment,
};

/// From when to when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Period {
    /// Placed then or later.
    created_from: Option<Moment>,
    /// Placed before then.
    created_before: Option<Moment>,
}

impl QueryForm for Period {
    fn read(params: &mut Params) -> Option<Self> {
        let (created_from, created_before) = (params.optional("created_from"), params.optional("created_before"));
        Some(Self { created_from: created_from?, created_before: created_before? })
    }
}

impl Period {
    /// Both ends, as the services take them.
    pub(crate) fn ends(self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.created_from.map(Into::into), self.created_before.map(Into::into))
    }

    /// The call that counts what `user_id` ordered; empty: everybody.
    pub(crate) fn stats(self, user_id: String) -> GetOrderStatsRequest {
        let (created_from, created_before) = self.ends();
        GetOrderStatsRequest { user_id, created_from, created_before }
    }
}

/// `GET /orders`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderQuery {
    #[param(ignore)]
    page: PageQuery,
    status: Option<Status>,
    #[param(ignore)]
    period: Period,
    /// Whose. Admins see everybody's where it is left out, others only their own.
    customer_id: Option<CustomerId>,
}

impl QueryForm for OrderQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (page, status) = (PageQuery::read(params), params.optional("status"));
        let (period, customer_id) = (Period::read(params), params.optional("customer_id"));
        Some(Self { page: page?, status: status?, period: period?, customer_id: customer_id? })
    }
}

impl OrderQuery {
    /// The call that lists what `caller` may see of it.
    pub(crate) fn into_request(self, caller: &Caller) -> Result<ListOrdersRequest, Error> {
        let asked = self.customer_id.map(String::from);
        if asked.as_ref().is_some_and(|asked| *asked != caller.user_id) && !caller.is_admin() {
            return Err(Error::Forbidden("Only admins see the orders of others."));
        }
        let (created_from, created_before) = self.period.ends();
        Ok(ListOrdersRequest {
            user_id: asked.unwrap_or_else(|| caller.scope()),
            page_size: self.page.limit,
            page_token: self.page.cursor,
            status: self.status.map_or(OrderStatus::Unspecified, Into::into).into(),
            created_from,
            created_before,
        })
    }
}

/// A page of one customer's orders.
pub(crate) fn of_customer(page: PageQuery, customer: CustomerId) -> ListOrdersRequest {
    ListOrdersRequest { user_id: customer.into(), page_size: page.limit, page_token: page.cursor, ..ListOrdersRequest::default() }
}

struct Included {
    customer: bool,
    items: bool,
}

impl Field for Included {
    const ALLOWED: &'static str = "must be customer, items, or both with a comma between them";

    fn read(value: &Value) -> Option<Self> {
        let mut included = Self { customer: false, items: false };
        for part in value.as_str()?.split(',') {
            match part {
                "customer" => included.customer = true,
                "items" => included.items = true,
                _ => return None,
            }
        }
        Some(included)
    }
}

/// `GET /orders/{order_id}`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Include {
    /// Parts to show: `customer`, `items`, or both with a comma between them. Items, where it is left out.
    #[param(value_type = Option<String>, pattern = "^(customer|items)(,(customer|items))?$")]
    include: Included,
}

impl QueryForm for Include {
    fn read(params: &mut Params) -> Option<Self> {
        let include = params.optional("include")?.unwrap_or(Included { customer: false, items: true });
        Some(Self { include })
    }
}

impl Include {
    /// The call that reads an order that `caller` may see.
    pub(crate) fn into_request(self, caller: &Caller, id: OrderId) -> GetOrderRequest {
        let Included { customer, items } = self.include;
        GetOrderRequest { order_id: id.into(), user_id: caller.scope(), include_customer: customer, without_items: !items }
    }
}
