//! Whatever comes in, the caller is told what is wrong with it: never that something broke here.

use prost_types::Timestamp;
use proto::orders::{
    CancelOrderRequest, CreateCustomerRequest, Customer, GetCustomerRequest, GetOrderRequest, GetOrderStatsRequest, GetStockRequest, Item,
    ListCustomersRequest, ListOrdersRequest, PlaceOrderRequest, SetStockRequest, UpdateOrderStatusRequest,
};
use tonic::Status;
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products};

/// What is no id, no token and no address.
fn nonsense() -> [String; 8] {
    let long = "9".repeat(1 << 20);
    ["x".into(), "\0".into(), format!("{}\0", Uuid::nil()), "💥".into(), "' OR 1=1 --".into(), "../..".into(), "\u{feff}".into(), long]
}

fn assert_named<T: std::fmt::Debug>(answer: Result<T, Status>, expected: &[&str], what: &str) {
    let status = answer.expect_err(what);
    assert_eq!(fields(&status), expected, "{}", what.chars().take(100).collect::<String>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nonsense_for_an_id_is_named_by_every_call() {
    let shop = Shop::open().await;
    for text in nonsense() {
        let id = || text.clone();
        let get = GetOrderRequest { order_id: id(), user_id: id(), include_customer: true, without_items: true };
        assert_named(shop.get_with(get).await, &["order_id", "user_id"], &text);
        let update = UpdateOrderStatusRequest { order_id: id(), status: 77, version: Some(i64::MIN) };
        assert_named(shop.update(update).await, &["order_id", "status"], &text);
        let cancel = CancelOrderRequest { order_id: id(), user_id: id(), version: Some(i64::MAX) };
        assert_named(shop.cancel_with(cancel).await, &["order_id", "user_id"], &text);
        let list = ListOrdersRequest { user_id: id(), page_token: id(), page_size: u32::MAX, status: i32::MIN, ..Default::default() };
        assert_named(shop.list_with(list).await, &["page_size", "page_token", "status", "user_id"], &text);
        assert_named(shop.stats(GetOrderStatsRequest { user_id: id(), ..Default::default() }).await, &["user_id"], &text);
        assert_named(shop.customers().get_customer(GetCustomerRequest { customer_id: id() }).await, &["customer_id"], &text);
        let list = ListCustomersRequest { page_size: u32::MAX, page_token: id() };
        assert_named(shop.customers().list_customers(list).await, &["page_size", "page_token"], &text);
        assert_named(shop.shelves().get_stock(GetStockRequest { product_id: id() }).await, &["product_id"], &text);
        let set = SetStockRequest { product_id: id(), available: u32::MAX, version: None };
        assert_named(shop.shelves().set_stock(set).await, &["available", "product_id"], &text);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_empty_request_is_named_where_something_is_needed() {
    let shop = Shop::open().await;
    assert_named(shop.get_with(GetOrderRequest::default()).await, &["order_id"], "GetOrder");
    assert_named(shop.update(UpdateOrderStatusRequest::default()).await, &["order_id", "status"], "UpdateOrderStatus");
    assert_named(shop.cancel_with(CancelOrderRequest::default()).await, &["order_id"], "CancelOrder");
    let (mut customers, mut shelves) = (shop.customers(), shop.shelves());
    assert_named(customers.create_customer(CreateCustomerRequest::default()).await, &["email", "username"], "CreateCustomer");
    assert_named(customers.get_customer(GetCustomerRequest::default()).await, &["customer_id"], "GetCustomer");
    assert_named(shelves.get_stock(GetStockRequest::default()).await, &["product_id"], "GetStock");
    assert_named(shelves.set_stock(SetStockRequest::default()).await, &["product_id"], "SetStock");
    assert!(shop.list_with(ListOrdersRequest::default()).await.unwrap().orders.is_empty());
    assert!(customers.list_customers(ListCustomersRequest::default()).await.unwrap().into_inner().customers.is_empty());
    drop((customers, shelves));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn moments_that_are_none_are_named_and_those_at_the_ends_of_time_are_fine() {
    let shop = Shop::open().await;
    let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let bad = [
        at(i64::MIN, 0),
        at(i64::MAX, 0),
        at(0, -1),
        at(0, 1_000_000_000),
        at(0, i32::MIN),
        at(-62_135_596_801, 0),
        at(253_402_300_800, 0),
    ];
    for moment in bad {
        let list = ListOrdersRequest { created_from: moment, created_before: moment, ..Default::default() };
        assert_named(shop.list_with(list).await, &["created_before", "created_from"], &format!("{moment:?}"));
        let stats = GetOrderStatsRequest { created_from: moment, created_before: moment, ..Default::default() };
        assert_named(shop.stats(stats).await, &["created_before", "created_from"], &format!("{moment:?}"));
    }
    let [tea] = products();
    shop.place(&customer(), &[(tea, 1)], "").await.unwrap();
    let (first, last) = (at(-62_135_596_800, 0), at(253_402_300_799, 999_999_999));
    let all = ListOrdersRequest { created_from: first, created_before: last, ..Default::default() };
    assert_eq!(shop.list_with(all).await.unwrap().orders.len(), 1);
    let none = ListOrdersRequest { created_from: at(253_402_300_799, 0), created_before: last, ..Default::default() };
    assert!(shop.list_with(none).await.unwrap().orders.is_empty());
    let stats = shop.stats(GetOrderStatsRequest { created_from: first, created_before: last, ..Default::default() }).await.unwrap();
    assert_eq!(stats.by_status[0].orders, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_and_addresses_that_cannot_be_kept_are_named() {
    let shop = Shop::open().await;
    let good = "ada@example.com";
    let long = format!("{}@example.com", "a".repeat(250));
    let mut cases = vec![
        (String::new(), good.to_owned(), vec!["username"]),
        ("A\0da".into(), good.into(), vec!["username"]),
        ("Ada\n".into(), good.into(), vec!["username"]),
        ("ä".repeat(321), good.into(), vec!["username"]),
        ("x".repeat(1 << 20), "y".repeat(1 << 20), vec!["email", "username"]),
        ("Ada".into(), long, vec!["email"]),
        ("Ada".into(), "ada@".into(), vec!["email"]),
        ("Ada".into(), "a\0da@example.com".into(), vec!["email"]),
        ("Ada".into(), "ada@example.com\r\nBcc: eve@example.com".into(), vec!["email"]),
    ];
    cases.extend(nonsense().map(|text| ("Ada".to_owned(), text, vec!["email"])));
    for (username, email, expected) in cases {
        let what = format!("{username:?} {email:?}");
        assert_named(shop.customers().create_customer(CreateCustomerRequest { username, email }).await, &expected, &what);
    }
    let longest = CreateCustomerRequest { username: "ä".repeat(320), email: good.into() };
    assert_eq!(shop.customers().create_customer(longest).await.unwrap().into_inner().customer.unwrap().username.chars().count(), 320);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_of_nonsense_is_named_line_by_line() {
    let shop = Shop::open().await;
    for text in nonsense() {
        let request = PlaceOrderRequest {
            customer: Some(Customer { user_id: text.clone(), username: "A\0".into(), email: "\u{1b}[0m".into() }),
            items: vec![Item { product_id: text.clone(), quantity: u32::MAX }],
            idempotency_key: "\0".into(),
        };
        let expected =
            ["customer.email", "customer.user_id", "customer.username", "idempotency_key", "items[0].product_id", "items[0].quantity"];
        assert_named(shop.send(request).await, &expected, &text);
    }
    assert_eq!(shop.written().await, (0, 0, 0));
    shop.close().await;
}
