//! Every RPC of `throughline.orders.v1`.

use proto::{
    catalog::Product,
    orders::{
        CancelOrderRequest, CreateCustomerRequest, Customer, GetCustomerRequest, GetOrderRequest, GetOrderStatsRequest,
        GetOrderValuesRequest, GetRevenueByDayRequest, GetStockRequest, GetTopCustomersRequest, Item, ListCustomersRequest,
        ListOrdersRequest, Order, OrderStatus, PlaceOrderRequest, SetStockRequest, UpdateOrderStatusRequest,
    },
};

use super::world::{Person, World, email};

fn customer(person: &Person) -> Customer {
    let username = person.username.clone();
    Customer { user_id: person.user_id.clone(), email: email(&username), username }
}

pub(super) fn basket(person: &Person, product: &Product, quantity: u32) -> PlaceOrderRequest {
    let items = vec![Item { product_id: product.product_id.clone(), quantity }];
    PlaceOrderRequest { customer: Some(customer(person)), items, idempotency_key: String::new() }
}

pub(super) async fn place(world: &World, product: &Product, quantity: u32) -> Order {
    world.orders().place_order(basket(&world.admin, product, quantity)).await.unwrap().into_inner().order.unwrap()
}

pub(super) async fn succeed(world: &World, product: &Product) {
    let wish = SetStockRequest { product_id: product.product_id.clone(), available: 100, version: None };
    assert_eq!(world.stock().set_stock(wish).await.unwrap().into_inner().available, 100);
    let (kept, dropped) = (placed_once(world, product).await, place(world, product, 3).await);
    steps(world, &kept, &dropped).await;
    let wish = GetStockRequest { product_id: product.product_id.clone() };
    assert_eq!(world.stock().get_stock(wish).await.unwrap().into_inner().available, 98, "what was cancelled is back");
    reading(world, &kept).await;
    reports(world, &kept).await;
    customers(world).await;
}

/// However often it is asked for.
async fn placed_once(world: &World, product: &Product) -> Order {
    let wish = PlaceOrderRequest { idempotency_key: "once".into(), ..basket(&world.admin, product, 2) };
    let first = world.orders().place_order(wish.clone()).await.unwrap().into_inner();
    let again = world.orders().place_order(wish).await.unwrap().into_inner();
    assert_eq!((first.replayed, again.replayed, &first.order), (false, true, &again.order));
    let order = first.order.unwrap();
    assert_eq!((order.total_amount.as_str(), order.currency.as_str(), order.status()), ("15.00", "EUR", OrderStatus::Placed));
    order
}

async fn steps(world: &World, kept: &Order, dropped: &Order) {
    let mut orders = world.orders();
    for (status, version) in [(OrderStatus::Paid, 1), (OrderStatus::Shipped, 2), (OrderStatus::Delivered, 3)] {
        let wish = UpdateOrderStatusRequest { order_id: kept.order_id.clone(), status: status.into(), version: Some(version) };
        let order = orders.update_order_status(wish).await.unwrap().into_inner().order.unwrap();
        assert_eq!((order.status(), order.version), (status, version + 1));
    }
    let wish = CancelOrderRequest { order_id: dropped.order_id.clone(), user_id: dropped.user_id.clone(), version: Some(1) };
    let order = orders.cancel_order(wish).await.unwrap().into_inner().order.unwrap();
    assert_eq!((order.status(), order.version), (OrderStatus::Cancelled, 2));
}

async fn reading(world: &World, kept: &Order) {
    let (mut orders, user_id) = (world.orders(), world.admin.user_id.clone());
    let wish = GetOrderRequest { order_id: kept.order_id.clone(), user_id: user_id.clone(), include_customer: true, without_items: false };
    let whole = orders.get_order(wish.clone()).await.unwrap().into_inner().order.unwrap();
    assert_eq!((whole.customer.unwrap().customer_id, whole.items.as_slice()), (user_id.clone(), kept.items.as_slice()));
    let bare = orders.get_order(GetOrderRequest { include_customer: false, without_items: true, ..wish }).await.unwrap().into_inner();
    assert!(bare.order.is_some_and(|order| order.customer.is_none() && order.items.is_empty()));

    let wish = ListOrdersRequest { user_id: user_id.clone(), page_size: 1, ..ListOrdersRequest::default() };
    let newest = orders.list_orders(wish.clone()).await.unwrap().into_inner();
    let before = orders.list_orders(ListOrdersRequest { page_token: newest.next_page_token, ..wish.clone() }).await.unwrap().into_inner();
    assert_eq!((newest.orders[0].status(), &before.orders[0].order_id), (OrderStatus::Cancelled, &kept.order_id));
    let none = ListOrdersRequest { status: OrderStatus::Paid.into(), created_from: kept.created_at, page_size: 100, ..wish };
    assert!(orders.list_orders(none).await.unwrap().into_inner().orders.is_empty());

    let stats = orders.get_order_stats(GetOrderStatsRequest { user_id, ..GetOrderStatsRequest::default() }).await.unwrap().into_inner();
    let euros = &stats.by_currency[0];
    assert_eq!((euros.orders, euros.revenue.as_str(), euros.median_amount.as_str()), (1, "15.00", "15.00"), "without what was cancelled");
    assert_eq!(stats.by_status.iter().map(|count| count.orders).sum::<u64>(), 2);
}

/// Since the order that was kept.
async fn reports(world: &World, kept: &Order) {
    let (mut reports, created_from) = (world.reports(), kept.created_at);
    let wish = GetRevenueByDayRequest { created_from, created_before: None };
    let days = reports.get_revenue_by_day(wish).await.unwrap().into_inner().days;
    assert!(days.iter().any(|day| day.currency == "EUR" && day.revenue == "15.00" && day.day.len() == 10), "{days:?}");
    let wish = GetTopCustomersRequest { created_from, created_before: None, number: 0 };
    let customers = reports.get_top_customers(wish).await.unwrap().into_inner().customers;
    assert_eq!((customers[0].customer_id.as_str(), customers[0].revenue.as_str()), (world.admin.user_id.as_str(), "15.00"));
    let wish = GetOrderValuesRequest { created_from, created_before: None };
    let values = reports.get_order_values(wish).await.unwrap().into_inner().currencies;
    assert_eq!((values[0].orders, values[0].p50.as_str(), values[0].p99.as_str()), (1, "15.00", "15.00"));
}

async fn customers(world: &World) {
    let mut customers = world.customers();
    let wish = CreateCustomerRequest { username: "Grace".into(), email: "Grace@example.org".into() };
    let grace = customers.create_customer(wish).await.unwrap().into_inner().customer.unwrap();
    assert_eq!(grace.email, "grace@example.org");
    let found = customers.get_customer(GetCustomerRequest { customer_id: grace.customer_id.clone() }).await.unwrap().into_inner();
    assert_eq!(found.customer.as_ref(), Some(&grace));
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = customers.list_customers(ListCustomersRequest { page_size: 1, page_token }).await.unwrap().into_inner();
        listed.extend(page.customers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(listed.contains(&grace) && listed.iter().any(|customer| customer.customer_id == world.admin.user_id));
    assert!(listed.is_sorted_by(|one, next| one.customer_id < next.customer_id));
}
