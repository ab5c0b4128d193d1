//! Customers and orders.

use actix_web::{HttpResponse, http::header::LOCATION, web::Json};
use proto::orders::{CancelOrderRequest, GetCustomerRequest, ListCustomersRequest};

use crate::{
    body::Body,
    caller::{Admin, By, Caller, SelfOrAdmin},
    conditional::{ExpectedVersion, Tagged},
    customer::{CreateCustomer, Customer, CustomerId},
    error::Error,
    order::{
        Order, OrderId, PlaceOrder, SetStatus,
        query::{Include, OrderQuery, Period, of_customer},
        stats::Stats,
    },
    page::{IdempotencyKey, InPath, Page, PageQuery},
    query::InQuery,
    upstream::Calls,
};

/// Adds a customer who is no user. Admins only.
#[utoipa::path(post, path = "/api/v1/customers", tag = "customers", security(("bearer" = [])), request_body = CreateCustomer,
    responses((status = 201, description = "The customer", body = Customer)))]
pub(super) async fn create_customer(calls: Calls, by: By<Admin, Body<CreateCustomer>>) -> Result<HttpResponse, Error> {
    let customer: Customer = calls.create_customer(by.input.0.into()).await?.customer.try_into()?;
    let location = format!("/api/v1/customers/{}", customer.customer_id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(customer))
}

/// Customers in the order of their ids. Admins only.
#[utoipa::path(get, path = "/api/v1/customers", tag = "customers", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "A page", body = Page<Customer>)))]
pub(super) async fn list_customers(calls: Calls, by: By<Admin, InQuery<PageQuery>>) -> Result<Json<Page<Customer>>, Error> {
    let PageQuery { limit, cursor } = by.input.0;
    let answer = calls.list_customers(ListCustomersRequest { page_size: limit, page_token: cursor }).await?;
    Ok(Json(Page::of(answer.customers, answer.next_page_token)?))
}

/// A customer; the user of that id and admins.
#[utoipa::path(get, path = "/api/v1/customers/{customer_id}", tag = "customers", security(("bearer" = [])),
    params(("customer_id" = CustomerId, Path)), responses((status = 200, description = "The customer", body = Customer)))]
pub(super) async fn customer(calls: Calls, by: By<SelfOrAdmin, InPath<CustomerId>>) -> Result<Json<Customer>, Error> {
    let answer = calls.get_customer(GetCustomerRequest { customer_id: by.input.0.into() }).await?;
    Ok(Json(answer.customer.try_into()?))
}

type OfCustomer = (InPath<CustomerId>, InQuery<PageQuery>);

/// A customer's orders, newest first; the user of that id and admins.
#[utoipa::path(get, path = "/api/v1/customers/{customer_id}/orders", tag = "customers", security(("bearer" = [])),
    params(("customer_id" = CustomerId, Path), PageQuery), responses((status = 200, description = "A page", body = Page<Order>)))]
pub(super) async fn customer_orders(calls: Calls, by: By<SelfOrAdmin, OfCustomer>) -> Result<Json<Page<Order>>, Error> {
    let (InPath(id), InQuery(page)) = by.input;
    let answer = calls.list_orders(of_customer(page, id)).await?;
    Ok(Json(Page::of(answer.orders, answer.next_page_token)?))
}

/// Places an order: one request, one trace over HTTP, gRPC, SQL, Redis and Kafka.
#[utoipa::path(post, path = "/api/v1/orders", tag = "orders", security(("bearer" = [])), request_body = PlaceOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same order")),
    responses((status = 201, description = "The order", body = Order), (status = 200, description = "This key's order of before", body = Order)))]
pub(super) async fn place(calls: Calls, by: By<Caller, (IdempotencyKey, Body<PlaceOrder>)>) -> Result<HttpResponse, Error> {
    let (key, Body(form)) = by.input;
    let products = form.products();
    let answer = calls.place_order(form.into_request(by.who, key)).await.map_err(|error| error.about(products))?;
    let order: Order = answer.order.try_into()?;
    let mut response = if answer.replayed { HttpResponse::Ok() } else { HttpResponse::Created() };
    if answer.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.insert_header((LOCATION, order.location())).json(order))
}

/// Orders, newest first: the caller's own, everybody's for admins.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", security(("bearer" = [])), params(PageQuery, OrderQuery, Period),
    responses((status = 200, description = "A page", body = Page<Order>)))]
pub(super) async fn list(calls: Calls, by: By<Caller, InQuery<OrderQuery>>) -> Result<Json<Page<Order>>, Error> {
    let answer = calls.list_orders(by.input.0.into_request(&by.who)?).await?;
    Ok(Json(Page::of(answer.orders, answer.next_page_token)?))
}

/// Orders counted: the caller's own, everybody's for admins.
#[utoipa::path(get, path = "/api/v1/orders/stats", tag = "orders", security(("bearer" = [])), params(Period),
    responses((status = 200, description = "Counts and sums", body = Stats)))]
pub(super) async fn stats(calls: Calls, by: By<Caller, InQuery<Period>>) -> Result<Json<Stats>, Error> {
    Ok(Json(calls.for_report().get_order_stats(by.input.0.stats(by.who.scope())).await?.try_into()?))
}

/// An order of the caller's; of anybody's for admins.
#[utoipa::path(get, path = "/api/v1/orders/{order_id}", tag = "orders", security(("bearer" = [])), params(("order_id" = OrderId, Path), Include),
    responses((status = 200, description = "The order", body = Order), (status = 304, description = "Not changed")))]
pub(super) async fn read(calls: Calls, by: By<Caller, (InPath<OrderId>, InQuery<Include>)>) -> Result<Tagged<Order>, Error> {
    let (InPath(id), InQuery(include)) = by.input;
    let order: Order = calls.get_order(include.into_request(&by.who, id)).await?.order.try_into()?;
    let version = order.version;
    Ok(Tagged::by_version(order, version))
}

type Step = (InPath<OrderId>, ExpectedVersion, Body<SetStatus>);

/// Takes the next step: placed, paid, shipped, delivered. Admins only.
#[utoipa::path(put, path = "/api/v1/orders/{order_id}/status", tag = "orders", security(("bearer" = [])), request_body = SetStatus,
    params(("order_id" = OrderId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The order as it is now", body = Order)))]
pub(super) async fn set_status(calls: Calls, by: By<Admin, Step>) -> Result<Json<Order>, Error> {
    let (InPath(id), ExpectedVersion(version), Body(form)) = by.input;
    Ok(Json(calls.update_order_status(form.into_request(id, version)).await?.order.try_into()?))
}

/// Cancels an order that has not been shipped; its stock returns. The caller's own, anybody's for admins.
#[utoipa::path(delete, path = "/api/v1/orders/{order_id}", tag = "orders", security(("bearer" = [])),
    params(("order_id" = OrderId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The cancelled order", body = Order)))]
pub(super) async fn cancel(calls: Calls, by: By<Caller, (InPath<OrderId>, ExpectedVersion)>) -> Result<Json<Order>, Error> {
    let (InPath(id), ExpectedVersion(version)) = by.input;
    let request = CancelOrderRequest { order_id: id.into(), user_id: by.who.scope(), version };
    Ok(Json(calls.cancel_order(request).await?.order.try_into()?))
}
