//! What is needed is away: the caller hears so in time, and nothing has to be restarted afterwards.

use std::{
    cell::Cell,
    future::Future,
    time::{Duration, Instant},
};

use chassis::{config::Secret, testing::TestProxy};
use db::{roles::Role, schema::orders::orders};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use events::testing::eventually;
use futures::future::{join, join_all};
use proto::orders::{
    CreateCustomerRequest, GetCustomerRequest, GetOrderStatsRequest, GetOrderValuesRequest, GetStockRequest, ListCustomersRequest,
    OrderStatus, SetStockRequest,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    catalog::Mood,
    shop::{Shop, assert_unavailable, customer, hurried, products},
};

const LIMIT: Duration = Duration::from_millis(1_800);

/// The call says `UNAVAILABLE` and when to come again, within [`LIMIT`].
async fn unavailable<T: std::fmt::Debug>(what: &str, call: impl Future<Output = Result<T, Status>>) {
    let begun = Instant::now();
    let status = call.await.expect_err(what);
    assert!(begun.elapsed() < LIMIT, "{what}: {:?}", begun.elapsed());
    assert_unavailable(what, &status);
}

/// A shop whose Postgres is behind a proxy, and the same database without one.
struct Behind {
    direct: Shop,
    proxy: TestProxy,
    shop: Shop,
}

impl Behind {
    async fn open() -> Self {
        let direct = Shop::open().await;
        let (proxy, url) = TestProxy::for_url(&direct.database.url(Role::Orders)).await;
        let shop = Shop::open_with(|config| {
            hurried(config);
            config.database.url = Secret::new(url);
        });
        let shop = shop.await;
        Self { direct, proxy, shop }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn postgres_cut_off_or_paused_is_unavailable_in_time_and_heals() {
    let Behind { direct, proxy, shop } = Behind::open().await;
    let ([tea], ada) = (products(), customer());
    let mut placed = 0;
    for outage in [TestProxy::cut, TestProxy::freeze] {
        let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
        placed += 1;
        outage(&proxy);
        let who = CreateCustomerRequest { username: "Bob".into(), email: format!("bob{placed}@example.com") };
        let stock = SetStockRequest { product_id: tea.to_string(), available: 5, version: None };
        let lines = [(tea, 1)];
        // side by side: each takes its limit
        tokio::join!(
            unavailable("placing", shop.place(&ada, &lines, "lost")),
            unavailable("getting", shop.get(&order.order_id, &ada.user_id)),
            unavailable("listing", shop.list(&ada.user_id, 0, "")),
            unavailable("a step", shop.step(&order.order_id, OrderStatus::Paid)),
            unavailable("cancelling", shop.cancel(&order.order_id)),
            unavailable("counting", shop.stats(GetOrderStatsRequest::default())),
            unavailable("a report", async { shop.reports().get_order_values(GetOrderValuesRequest::default()).await }),
            unavailable("a new customer", async { shop.customers().create_customer(who).await }),
            unavailable("a customer", async {
                shop.customers().get_customer(GetCustomerRequest { customer_id: ada.user_id.clone() }).await
            }),
            unavailable("customers", async { shop.customers().list_customers(ListCustomersRequest::default()).await }),
            unavailable("stock", async { shop.shelves().get_stock(GetStockRequest { product_id: tea.to_string() }).await }),
            unavailable("setting stock", async { shop.shelves().set_stock(stock).await }),
        );
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
async fn a_report_does_not_wait_for_a_postgres_that_is_silent() {
    let Behind { direct, proxy, shop } = Behind::open().await;
    let ([tea], ada) = (products(), customer());
    // a connection is open, and nothing has told that its server will not answer
    shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    proxy.freeze();
    unavailable("counting", shop.stats(GetOrderStatsRequest::default())).await;
    unavailable("a report", shop.reports().get_order_values(GetOrderValuesRequest::default())).await;
    proxy.heal();
    eventually("it reports again", async || shop.stats(GetOrderStatsRequest::default()).await.is_ok()).await;
    shop.close().await;
    direct.close().await;
}

const BUYERS: usize = 16;

/// Ends every session of the service, as a server does that is restarted.
const RESTART: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'orders'";

/// What buyers see who repeat each order, under its key, until they have it.
#[derive(Default)]
struct Seen {
    placed: Cell<usize>,
    failed: Cell<usize>,
    enough: Cell<bool>,
}

/// The orders that one buyer got.
async fn buy(shop: &Shop, seen: &Seen) -> Vec<Uuid> {
    let ([tea, pot], ada) = (products(), customer());
    let mut orders = Vec::new();
    while !seen.enough.get() {
        let key = format!("key-{}", orders.len());
        let order = loop {
            match shop.place(&ada, &[(pot, 1), (tea, 2)], &key).await {
                Ok(answer) => break answer.order.unwrap(),
                Err(status) => assert_unavailable("placing", &status),
            }
            seen.failed.set(seen.failed.get() + 1);
        };
        seen.placed.set(seen.placed.get() + 1);
        orders.push(order.order_id.parse().unwrap());
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn postgres_cut_off_restarted_and_paused_under_load_loses_no_order_and_doubles_none() {
    let Behind { direct, proxy, shop } = Behind::open().await;
    let seen = Seen::default();
    let more = async |count: &Cell<usize>, number: usize| {
        let before = count.get();
        eventually("the buyers come on", async || count.get() >= before + number).await;
    };
    let disturb = async {
        for outage in [TestProxy::cut, TestProxy::freeze, TestProxy::cut] {
            more(&seen.placed, BUYERS).await;
            outage(&proxy);
            more(&seen.failed, BUYERS / 2).await;
            proxy.heal();
            more(&seen.placed, BUYERS).await;
            direct.run_sql(RESTART).await;
            more(&seen.placed, BUYERS).await;
        }
        seen.enough.set(true);
    };
    let (bought, ()) = join(join_all((0..BUYERS).map(|_| buy(&shop, &seen))), disturb).await;

    let mut told: Vec<Uuid> = bought.into_iter().flatten().collect();
    told.sort();
    let kept: Vec<Uuid> =
        orders::table.select(orders::order_id).order(orders::order_id).load(&mut direct.connection().await).await.unwrap();
    assert!(told == kept, "{} orders were answered and {} are there", told.len(), kept.len());
    let rows = i64::try_from(kept.len()).unwrap();
    assert_eq!(direct.written().await, (rows, 2 * rows, rows));
    let [tea, pot] = products();
    let left = (db::seed::STOCK - direct.on_shelf(tea).await, db::seed::STOCK - direct.on_shelf(pot).await);
    assert_eq!((i64::from(left.0), i64::from(left.1)), (2 * rows, rows));
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
