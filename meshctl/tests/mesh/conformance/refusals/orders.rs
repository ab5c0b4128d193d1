//! `throughline.orders.v1`

use proto::orders::{
    CancelOrderRequest, CreateCustomerRequest, GetCustomerRequest, GetOrderRequest, GetOrderStatsRequest, GetOrderValuesRequest,
    GetRevenueByDayRequest, GetStockRequest, GetTopCustomersRequest, Item, ListCustomersRequest, ListOrdersRequest, OrderStatus,
    PlaceOrderRequest, SetStockRequest, UpdateOrderStatusRequest,
};
use tonic::Code;
use uuid::Uuid;

use crate::conformance::{
    products::create,
    purchases::{basket, place},
    verdicts::{
        Says::{Field, Nothing, Reason},
        Verdicts,
    },
    world::World,
};

pub(in crate::conformance) async fn orders(world: &World, verdicts: &mut Verdicts) {
    fields(world, verdicts).await;
    placing(world, verdicts).await;
    changing(world, verdicts).await;
    nothing_there(world, verdicts).await;
}

async fn fields(world: &World, verdicts: &mut Verdicts) {
    let due = |field: &'static str| (Code::InvalidArgument, Field(field));
    let (mut orders, mut stock, mut customers) = (world.orders(), world.stock(), world.customers());
    let (status, order_id) = (OrderStatus::Cancelled.into(), Uuid::now_v7().to_string());
    let cancelled = UpdateOrderStatusRequest { order_id: order_id.clone(), status, version: None };
    verdicts.expect("cancelling as a step", due("status"), orders.update_order_status(cancelled).await);
    verdicts.expect("no id", due("order_id"), orders.get_order(GetOrderRequest::default()).await);
    verdicts.expect("no id", due("order_id"), orders.cancel_order(CancelOrderRequest::default()).await);
    let garbled = ListOrdersRequest { page_token: "?".into(), ..ListOrdersRequest::default() };
    verdicts.expect("no page token", due("page_token"), orders.list_orders(garbled).await);
    let now = prost_types::Timestamp { seconds: 1, nanos: 0 };
    let nothing = GetOrderStatsRequest { created_from: Some(now), created_before: Some(now), ..GetOrderStatsRequest::default() };
    verdicts.expect("no time at all", due("created_from"), orders.get_order_stats(nothing).await);
    reports(world, verdicts).await;
    let much = SetStockRequest { product_id: order_id, available: 1_000_000_001, version: None };
    verdicts.expect("more than there can be", due("available"), stock.set_stock(much).await);
    verdicts.expect("no id", due("product_id"), stock.get_stock(GetStockRequest::default()).await);
    let somebody = CreateCustomerRequest { username: "Grace".into(), email: "nowhere".into() };
    verdicts.expect("no address", due("email"), customers.create_customer(somebody).await);
    verdicts.expect("no id", due("customer_id"), customers.get_customer(GetCustomerRequest::default()).await);
    let long = ListCustomersRequest { page_size: 101, page_token: String::new() };
    verdicts.expect("a long page", due("page_size"), customers.list_customers(long).await);
}

async fn reports(world: &World, verdicts: &mut Verdicts) {
    let due = |field: &'static str| (Code::InvalidArgument, Field(field));
    let (mut reports, now) = (world.reports(), Some(prost_types::Timestamp { seconds: 1, nanos: 0 }));
    let days = GetRevenueByDayRequest { created_from: now, created_before: now };
    verdicts.expect("no time at all", due("created_from"), reports.get_revenue_by_day(days).await);
    let values = GetOrderValuesRequest { created_from: now, created_before: now };
    verdicts.expect("no time at all", due("created_from"), reports.get_order_values(values).await);
    let many = GetTopCustomersRequest { number: 101, ..GetTopCustomersRequest::default() };
    verdicts.expect("too many customers", due("number"), reports.get_top_customers(many).await);
}

async fn placing(world: &World, verdicts: &mut Verdicts) {
    let (mut orders, product) = (world.orders(), create(world, "CUP-1").await);
    let wish = |quantity| basket(&world.demo, &product, quantity);
    let due = |field: &'static str| (Code::InvalidArgument, Field(field));
    verdicts.expect("no pieces", due("items[0].quantity"), orders.place_order(wish(0)).await);
    let unknown = vec![Item { product_id: Uuid::now_v7().to_string(), quantity: 1 }];
    verdicts.expect("no product", due("items[0].product_id"), orders.place_order(PlaceOrderRequest { items: unknown, ..wish(1) }).await);
    let few = SetStockRequest { product_id: product.product_id.clone(), available: 5, version: None };
    world.stock().set_stock(few).await.unwrap();
    let scarce = (Code::FailedPrecondition, Reason("INSUFFICIENT_STOCK"));
    verdicts.expect("more than there is", scarce, orders.place_order(wish(6)).await);
    let keyed = |quantity| PlaceOrderRequest { idempotency_key: "cups".into(), ..wish(quantity) };
    orders.place_order(keyed(1)).await.unwrap();
    let reused = (Code::FailedPrecondition, Reason("IDEMPOTENCY_KEY_REUSED"));
    verdicts.expect("a key of another order", reused, orders.place_order(keyed(2)).await);
}

async fn changing(world: &World, verdicts: &mut Verdicts) {
    let (mut orders, product) = (world.orders(), create(world, "CUP-2").await);
    let stock = SetStockRequest { product_id: product.product_id.clone(), available: 5, version: None };
    world.stock().set_stock(stock.clone()).await.unwrap();
    let order_id = place(world, &product, 1).await.order_id;
    let step = |status: OrderStatus, version| UpdateOrderStatusRequest { order_id: order_id.clone(), status: status.into(), version };
    let cancel = |user_id: &str, version| CancelOrderRequest { order_id: order_id.clone(), user_id: user_id.into(), version };
    let (late, forbidden) = ((Code::Aborted, Reason("VERSION_MISMATCH")), (Code::FailedPrecondition, Reason("STATUS_STEP_FORBIDDEN")));
    verdicts.expect("another version", late, orders.update_order_status(step(OrderStatus::Paid, Some(7))).await);
    let set = SetStockRequest { version: Some(7), ..stock };
    verdicts.expect("another version", late, world.stock().set_stock(set).await);
    verdicts.expect("another version", late, orders.cancel_order(cancel("", Some(7))).await);
    verdicts.expect("a step too far", forbidden, orders.update_order_status(step(OrderStatus::Delivered, None)).await);
    let foreign = cancel(&world.demo.user_id, None);
    verdicts.expect("another's order", (Code::NotFound, Nothing), orders.cancel_order(foreign).await);
    orders.cancel_order(cancel("", None)).await.unwrap();
    verdicts.expect("a cancelled order", forbidden, orders.cancel_order(cancel("", None)).await);
}

async fn nothing_there(world: &World, verdicts: &mut Verdicts) {
    let (mut orders, mut stock, mut customers) = (world.orders(), world.stock(), world.customers());
    let (unknown, due) = (|| Uuid::now_v7().to_string(), (Code::NotFound, Nothing));
    verdicts.expect("no order", due, orders.get_order(GetOrderRequest { order_id: unknown(), ..GetOrderRequest::default() }).await);
    let step = UpdateOrderStatusRequest { order_id: unknown(), status: OrderStatus::Paid.into(), version: None };
    verdicts.expect("no order", due, orders.update_order_status(step).await);
    verdicts.expect("no stock", due, stock.get_stock(GetStockRequest { product_id: unknown() }).await);
    verdicts.expect("no customer", due, customers.get_customer(GetCustomerRequest { customer_id: unknown() }).await);
    let email = "hopper@example.org".to_owned();
    let grace = CreateCustomerRequest { username: "Grace".into(), email };
    customers.create_customer(grace.clone()).await.unwrap();
    let taken = (Code::AlreadyExists, Reason("EMAIL_TAKEN"));
    verdicts.expect("a taken address", taken, customers.create_customer(grace).await);
}
