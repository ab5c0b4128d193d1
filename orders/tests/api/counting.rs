//! What `/metrics` says was sold is what was sold.

use chassis::testing::{eventually, metric};
use futures::future::join_all;

use crate::{
    catalog::Mood,
    shop::{Shop, customer, products},
};

const PLACED: &str = "throughline_orders_placed_total";

fn revenue(shop: &Shop, currency: &str) -> Option<f64> {
    metric(&shop.process, &format!("throughline_orders_revenue_total{{currency=\"{currency}\"}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_order_counts_once_and_neither_a_repeat_nor_a_refusal_counts() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "6.40", "EUR");
    shop.catalog.sell(pot, "Pot", "3.25", "USD");
    // it may answer a connection before it serves
    eventually("it counts", async || metric(&shop.process, PLACED) == Some(0.0)).await;
    assert_eq!(revenue(&shop, "EUR"), None);
    for _ in 0..3 {
        shop.place(&ada, &[(tea, 2)], "key-1").await.unwrap();
    }
    shop.place(&ada, &[(pot, 1)], "").await.unwrap();
    shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap_err();
    shop.place(&ada, &[(tea, 0)], "").await.unwrap_err();
    shop.catalog.set_mood(Mood::Fails(tonic::Code::Unavailable));
    shop.place(&ada, &[(tea, 1)], "").await.unwrap_err();
    assert_eq!((metric(&shop.process, PLACED), shop.written().await.0), (Some(2.0), 2));
    assert_eq!((revenue(&shop, "EUR"), revenue(&shop, "USD")), (Some(12.8), Some(3.25)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_many_requests_of_one_key_at_once_one_counts() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    let items = [(tea, 1)];
    for answer in join_all((0..20).map(|_| shop.place(&ada, &items, "key-1"))).await {
        answer.unwrap();
    }
    assert_eq!(metric(&shop.process, PLACED), Some(1.0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pools_are_summed_by_name_and_those_of_ended_servers_are_not_shown() {
    let shop = Shop::open_with(|config| config.database.pool_size = 3).await;
    let ([tea], ada) = (products(), customer());
    shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    let pool =
        |name: &str, more: &str| metric(&shop.process, &format!("{name}{{db_client_connection_pool_name=\"orders/postgresql\"{more}}}"));
    // one pool of the relay and readiness, one of the requests
    assert_eq!(pool("db_client_connection_max", ""), Some(6.0));
    let open =
        || ["idle", "used"].map(|state| pool("db_client_connection_count", &format!(",db_client_connection_state=\"{state}\"")).unwrap());
    assert!((1.0..=6.0).contains(&open().iter().sum::<f64>()), "{:?}", open());
    let process = shop.process.clone();
    shop.close().await;
    let max = || metric(&process, "db_client_connection_max{db_client_connection_pool_name=\"orders/postgresql\"}");
    // readiness goes with the process
    eventually("the pool of the requests is gone", async || max() == Some(3.0)).await;
}
