//! Every field that is wrong is named, and none of the others.

use proto::orders::{Customer, Item, PlaceOrderRequest};
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_wrong_fields_of_an_order_are_named_at_once() {
    let shop = Shop::open().await;
    let [tea] = products();
    let item = |product_id: &str, quantity| Item { product_id: product_id.into(), quantity };
    let all_wrong = PlaceOrderRequest {
        customer: Some(Customer { user_id: "ada".into(), username: String::new(), email: "ada\n@example.com".into() }),
        items: vec![item(&tea.to_string(), 0), item("pot", 1), item(&tea.to_string(), 1_001), item("", u32::MAX)],
        idempotency_key: "with space".into(),
    };
    let expected = [
        "customer.email",
        "customer.user_id",
        "customer.username",
        "idempotency_key",
        "items[0].quantity",
        "items[1].product_id",
        "items[2].product_id",
        "items[2].quantity",
        "items[3].product_id",
        "items[3].quantity",
    ];
    assert_eq!(fields(&shop.send(all_wrong).await.unwrap_err()), expected);
    assert_eq!(
        fields(&shop.send(PlaceOrderRequest::default()).await.unwrap_err()),
        ["customer.email", "customer.user_id", "customer.username", "items"]
    );
    assert_eq!(shop.written().await, (0, 0, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn limits_are_exact() {
    let shop = Shop::open().await;
    let ada = customer();
    let all: Vec<Uuid> = db::seed::products().iter().map(|product| product.product_id).collect();
    let lines = |count: usize, quantity| all[..count].iter().map(|id| (*id, quantity)).collect::<Vec<_>>();
    assert_eq!(shop.place(&ada, &lines(100, 1_000), &"k".repeat(255)).await.unwrap().order.unwrap().items.len(), 100);
    assert_eq!(fields(&shop.place(&ada, &lines(101, 1), "").await.unwrap_err()), ["items"]);
    assert_eq!(fields(&shop.place(&ada, &lines(1, 1_001), "").await.unwrap_err()), ["items[0].quantity"]);
    assert_eq!(fields(&shop.place(&ada, &lines(1, 1), &"k".repeat(256)).await.unwrap_err()), ["idempotency_key"]);
    assert_eq!(fields(&shop.place(&ada, &lines(1, 1), "schlüssel").await.unwrap_err()), ["idempotency_key"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn other_currencies_and_sums_that_do_not_fit_are_named() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.catalog.sell(pot, "Pot", "1.00", "USD");
    assert_eq!(fields(&shop.place(&ada, &[(tea, 1), (pot, 1)], "").await.unwrap_err()), ["items[1].product_id"]);
    shop.catalog.sell(tea, "Crown", "9999999999.99", "EUR");
    assert_eq!(fields(&shop.place(&ada, &[(tea, 2)], "").await.unwrap_err()), ["items"]);
    assert_eq!(shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap().total_amount, "9999999999.99");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_wrong_fields_of_a_question_are_named_at_once() {
    let shop = Shop::open().await;
    assert_eq!(fields(&shop.get("one", "ada").await.unwrap_err()), ["order_id", "user_id"]);
    assert_eq!(fields(&shop.list("ada", 101, "next").await.unwrap_err()), ["page_size", "page_token", "user_id"]);
    assert_eq!(fields(&shop.send(request(&customer(), &[], "")).await.unwrap_err()), ["items"]);
    shop.close().await;
}
