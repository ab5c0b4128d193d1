//! Nobody gets what is not there.

use db::schema::orders::{order_items, outbox};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use tonic::Code;
use uuid::Uuid;

use crate::shop::{Shop, customer, products, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn too_little_of_something_is_refused_by_name_and_nothing_is_taken() {
    let shop = Shop::open().await;
    let [plenty, few, none] = products();
    shop.put_on_shelf(few, 2).await;
    shop.put_on_shelf(none, 0).await;
    let status = shop.place(&customer(), &[(plenty, 5), (few, 3), (none, 1)], "").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let (reason, metadata) = reason(&status);
    assert_eq!((reason.as_str(), metadata["product_ids"].as_str()), ("INSUFFICIENT_STOCK", format!("{few},{none}").as_str()));
    assert_eq!(shop.written().await, (0, 0, 0));
    assert_eq!((shop.on_shelf(plenty).await, shop.on_shelf(few).await), (db::seed::STOCK, 2));
    assert!(shop.place(&customer(), &[(few, 2)], "").await.is_ok(), "what is there can be had");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_product_that_was_never_on_the_shelf_is_out_of_stock() {
    let shop = Shop::open().await;
    let ([tea], new) = (products(), Uuid::now_v7());
    shop.catalog.sell(new, "Brand new", "1.00", "EUR");
    let status = shop.place(&customer(), &[(tea, 1), (new, 1)], "").await.unwrap_err();
    assert_eq!((reason(&status).0.as_str(), reason(&status).1["product_ids"].clone()), ("INSUFFICIENT_STOCK", new.to_string()));
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((0, 0, 0), db::seed::STOCK));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_fifty_buyers_of_the_last_ten_pieces_ten_get_one() {
    let shop = Shop::open().await;
    let [last] = products();
    shop.put_on_shelf(last, 10).await;
    let answers = join_all((0..50).map(|_| async { shop.place(&customer(), &[(last, 1)], "").await })).await;
    let refusals: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(answers.len() - refusals.len(), 10);
    assert!(refusals.iter().all(|status| reason(status).0 == "INSUFFICIENT_STOCK"), "{refusals:?}");
    assert_eq!((shop.on_shelf(last).await, shop.written().await), (0, (10, 10, 10)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_hundred_orders_of_the_same_products_in_opposite_order_do_not_lock_each_other_out() {
    let shop = Shop::open().await;
    let [one, other] = products();
    let orders = (0..200).map(|number| {
        let lines = if number % 2 == 0 { [(one, 1), (other, 2)] } else { [(other, 2), (one, 1)] };
        let shop = &shop;
        async move { shop.place(&customer(), &lines, "").await }
    });
    for answer in join_all(orders).await {
        answer.unwrap();
    }
    assert_eq!((shop.on_shelf(one).await, shop.on_shelf(other).await), (db::seed::STOCK - 200, db::seed::STOCK - 400));
    let mut connection = shop.connection().await;
    let lines: i64 = order_items::table.count().get_result(&mut connection).await.unwrap();
    let events: Vec<Uuid> = outbox::table.select(outbox::event_id).distinct().load(&mut connection).await.unwrap();
    assert_eq!((lines, events.len()), (400, 200));
    shop.close().await;
}
