//! What is needed is away: the caller hears so in time, and nothing has to be restarted afterwards.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use chassis::{config::Secret, testing::TestProxy};
use db::roles::Role;
use events::testing::eventually;
use proto::orders::{
    CreateCustomerRequest, GetCustomerRequest, GetOrderStatsRequest, GetStockRequest, ListCustomersRequest, OrderStatus, SetStockRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    catalog::Mood,
    shop::{Shop, customer, hurried, products},
};

const LIMIT: Duration = Duration::from_millis(1_800);

/// The call says `UNAVAILABLE` and when to come again, within [`LIMIT`].
async fn unavailable<T: std::fmt::Debug>(what: &str, call: impl Future<Output = Result<T, Status>>) {
    let begun = Instant::now();
    let status = call.await.expect_err(what);
    assert!(begun.elapsed() < LIMIT, "{what}: {:?}", begun.elapsed());
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{what}: {status:?}");
    assert_eq!(status.message(), "a dependency is unavailable", "causes stay inside");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn postgres_cut_off_or_paused_is_unavailable_in_time_and_heals() {
    let direct = Shop::open().await;
    let (proxy, url) = TestProxy::for_url(&direct.database.url(Role::Orders)).await;
    let shop = Shop::open_with(|config| {
        hurried(config);
        config.database.url = Secret::new(url);
    })
    .await;
    let ([tea], ada) = (products(), customer());
    let mut placed = 0;
    for outage in [TestProxy::cut, TestProxy::freeze] {
        let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
        placed += 1;
        outage(&proxy);
        unavailable("placing", shop.place(&ada, &[(tea, 1)], "lost")).await;
        unavailable("getting", shop.get(&order.order_id, &ada.user_id)).await;
        unavailable("listing", shop.list(&ada.user_id, 0, "")).await;
        unavailable("a step", shop.step(&order.order_id, OrderStatus::Paid)).await;
        unavailable("cancelling", shop.cancel(&order.order_id)).await;
        unavailable("counting", shop.stats(GetOrderStatsRequest::default())).await;
        let who = CreateCustomerRequest { username: "Bob".into(), email: format!("bob{placed}@example.com") };
        unavailable("a new customer", shop.customers().create_customer(who)).await;
        unavailable("a customer", shop.customers().get_customer(GetCustomerRequest { customer_id: ada.user_id.clone() })).await;
        unavailable("customers", shop.customers().list_customers(ListCustomersRequest::default())).await;
        unavailable("stock", shop.shelves().get_stock(GetStockRequest { product_id: tea.to_string() })).await;
        unavailable("setting stock", shop.shelves().set_stock(SetStockRequest { product_id: tea.to_string(), available: 5 })).await;
        let failures = shop.process.readiness.failures().await;
        assert_eq!(failures.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["postgres"]);
        proxy.heal();
        eventually("it places orders again", async || shop.place(&ada, &[(tea, 1)], "lost").await.is_ok()).await;
        assert_eq!(shop.get(&order.order_id, "").await.unwrap(), order, "nothing was half done");
    }
    eventually("it is ready again", async || shop.process.readiness.failures().await.is_empty()).await;
    // the key makes one order of the attempts before, during and after
    assert_eq!(shop.list(&ada.user_id, 0, "").await.unwrap().orders.len(), placed + 1);
    shop.close().await;
    direct.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_catalogue_that_is_down_failing_or_silent_is_unavailable_in_time() {
    let shop = Shop::open_with(hurried).await;
    let ([tea], ada) = (products(), customer());
    for mood in [Mood::Hangs, Mood::Fails(Code::Unavailable), Mood::Fails(Code::ResourceExhausted), Mood::Fails(Code::DeadlineExceeded)] {
        shop.catalog.set_mood(mood);
        unavailable("placing", shop.place(&ada, &[(tea, 1)], "")).await;
    }
    shop.catalog.set_mood(Mood::Fine);
    shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    assert_eq!(shop.written().await, (1, 1, 1));
    shop.close().await;
    let nobody = Shop::open_with(|config| {
        hurried(config);
        config.upstream.catalog_cache = "http://127.0.0.1:1".into();
    })
    .await;
    unavailable("placing", nobody.place(&ada, &[(tea, 1)], "")).await;
    nobody.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_catalogue_that_is_broken_is_an_internal_error_without_its_cause() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "six", "EUR");
    let status = shop.place(&ada, &[(tea, 1)], "").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    shop.catalog.set_mood(Mood::Fails(Code::InvalidArgument));
    assert_eq!(shop.place(&ada, &[(tea, 1)], "").await.unwrap_err().code(), Code::Internal);
    shop.close().await;
}
