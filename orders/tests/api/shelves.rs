//! How many pieces there are, told and set.

use futures::future::join_all;
use proto::orders::{GetStockRequest, SetStockRequest};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products, reason};

async fn get(shop: &Shop, product_id: &str) -> Result<u32, Status> {
    let request = GetStockRequest { product_id: product_id.into() };
    shop.shelves().get_stock(request).await.map(|answer| answer.into_inner().available)
}

async fn set(shop: &Shop, product_id: &str, available: u32) -> Result<u32, Status> {
    let request = SetStockRequest { product_id: product_id.into(), available, version: None };
    shop.shelves().set_stock(request).await.map(|answer| answer.into_inner().available)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stock_is_what_was_set_less_what_was_ordered() {
    let shop = Shop::open().await;
    let [tea] = products();
    assert_eq!(get(&shop, &tea.to_string()).await.unwrap(), db::seed::STOCK.unsigned_abs());
    assert_eq!(set(&shop, &tea.to_string(), 3).await.unwrap(), 3);
    let order = shop.place(&customer(), &[(tea, 2)], "").await.unwrap().order.unwrap();
    assert_eq!(get(&shop, &tea.to_string()).await.unwrap(), 1);
    assert_eq!(reason(&shop.place(&customer(), &[(tea, 2)], "").await.unwrap_err()).0, "INSUFFICIENT_STOCK");
    shop.cancel(&order.order_id).await.unwrap();
    assert_eq!(get(&shop, &tea.to_string()).await.unwrap(), 3);
    assert_eq!(set(&shop, &tea.to_string(), 0).await.unwrap(), 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_product_that_never_was_in_stock_is_not_found_until_it_is_set() {
    let shop = Shop::open().await;
    let new = Uuid::now_v7();
    shop.catalog.sell(new, "Brand new", "1.00", "EUR");
    assert_eq!(get(&shop, &new.to_string()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(set(&shop, &new.to_string(), 1_000_000_000).await.unwrap(), 1_000_000_000);
    shop.place(&customer(), &[(new, 1_000)], "").await.unwrap();
    assert_eq!(get(&shop, &new.to_string()).await.unwrap(), 999_999_000);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn numbers_that_do_not_fit_are_named_with_the_product_that_is_none() {
    let shop = Shop::open().await;
    let [tea] = products();
    for available in [1_000_000_001, u32::MAX] {
        assert_eq!(fields(&set(&shop, &tea.to_string(), available).await.unwrap_err()), ["available"]);
        assert_eq!(fields(&set(&shop, "tea", available).await.unwrap_err()), ["available", "product_id"]);
    }
    assert_eq!(get(&shop, &tea.to_string()).await.unwrap(), db::seed::STOCK.unsigned_abs());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn setting_while_orders_come_in_never_gives_more_than_was_set() {
    let shop = Shop::open().await;
    let [tea] = products();
    let id = tea.to_string();
    set(&shop, &id, 10).await.unwrap();
    let buyers = join_all((0..30).map(|_| async { shop.place(&customer(), &[(tea, 1)], "").await }));
    let (set, bought) = futures::future::join(set(&shop, &id, 5), buyers).await;
    assert_eq!(set.unwrap(), 5);
    let refused = bought.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.clone().all(|status| reason(status).0 == "INSUFFICIENT_STOCK"));
    let (sold, left) = (30 - refused.count(), get(&shop, &id).await.unwrap() as usize);
    assert!(left <= 5 && (5 - left..=15 - left).contains(&sold), "{sold} sold and {left} left");
    shop.close().await;
}

/// Pieces and version of what is set to what was seen.
async fn set_seen(shop: &Shop, product: Uuid, available: u32, version: i64) -> Result<(u32, i64), Status> {
    let request = SetStockRequest { product_id: product.to_string(), available, version: Some(version) };
    shop.shelves().set_stock(request).await.map(|answer| (answer.get_ref().available, answer.get_ref().version))
}

async fn version(shop: &Shop, product: Uuid) -> i64 {
    let request = GetStockRequest { product_id: product.to_string() };
    shop.shelves().get_stock(request).await.unwrap().into_inner().version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stock_is_set_to_the_version_that_was_seen_and_orders_do_not_count() {
    let shop = Shop::open().await;
    let [tea] = products();
    assert_eq!(version(&shop, tea).await, 1);
    let order = shop.place(&customer(), &[(tea, 2)], "").await.unwrap().order.unwrap();
    shop.cancel(&order.order_id).await.unwrap();
    assert_eq!(version(&shop, tea).await, 1);
    assert_eq!(set_seen(&shop, tea, 7, 1).await.unwrap(), (7, 2));
    set(&shop, &tea.to_string(), 8).await.unwrap();
    assert_eq!(version(&shop, tea).await, 3, "who expects nothing counts too");
    for wrong in [1, 2, 4, 0, -1, i64::MAX] {
        let refused = set_seen(&shop, tea, 9, wrong).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::Aborted, "VERSION_MISMATCH"), "{wrong}");
        assert_eq!(reason(&refused).1["version"], "3", "{wrong}");
    }
    assert_eq!(get(&shop, &tea.to_string()).await.unwrap(), 8);
    assert_eq!(set_seen(&shop, Uuid::now_v7(), 9, 1).await.unwrap_err().code(), Code::NotFound);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_ten_who_set_what_they_have_seen_one_does() {
    let shop = Shop::open().await;
    let [tea] = products();
    let answers = join_all((0..10).map(|number| set_seen(&shop, tea, number, 1))).await;
    let (set, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((set.len(), refused.len()), (1, 9));
    assert!(refused.iter().all(|answer| answer.as_ref().unwrap_err().code() == Code::Aborted), "{refused:?}");
    assert_eq!((get(&shop, &tea.to_string()).await.unwrap(), 2), *set[0].as_ref().unwrap());
    shop.close().await;
}
