//! The same key is the same order.

use futures::future::join_all;
use tonic::Code;

use crate::shop::{Shop, customer, fields, products, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_same_key_and_items_in_any_order_give_the_order_placed_first() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    let first = shop.place(&ada, &[(tea, 1), (pot, 2)], "key-1").await.unwrap();
    // another price does not make it another order
    shop.catalog.sell(tea, "Dearer tea", "99.00", "EUR");
    let again = shop.place(&ada, &[(pot, 2), (tea, 1)], "key-1").await.unwrap();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.order, again.order);
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((1, 2, 1), db::seed::STOCK - 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_same_key_with_other_items_is_refused() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap();
    for items in [&[(tea, 2)][..], &[(pot, 1)], &[(tea, 1), (pot, 1)]] {
        let status = shop.place(&ada, items, "key-1").await.unwrap_err();
        assert_eq!((status.code(), reason(&status).0.as_str()), (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED"));
    }
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((1, 1, 1), db::seed::STOCK - 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn twenty_requests_of_one_key_at_once_are_one_order_and_twenty_equal_answers() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    let items = [(tea, 1), (pot, 1)];
    let answers = join_all((0..20).map(|_| shop.place(&ada, &items, "key-1"))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.order == answers[0].order), "{answers:?}");
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((1, 2, 1), db::seed::STOCK - 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_repeat_gets_its_order_when_the_stock_is_gone_and_when_the_product_is() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.put_on_shelf(tea, 1).await;
    let first = shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap();
    assert_eq!(shop.on_shelf(tea).await, 0);
    let sold_out = shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap();
    assert_eq!((sold_out.replayed, &sold_out.order), (true, &first.order));
    shop.catalog.delist(tea);
    let delisted = shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap();
    assert_eq!((delisted.replayed, &delisted.order), (true, &first.order));
    let status = shop.place(&ada, &[(tea, 1), (pot, 1)], "key-1").await.unwrap_err();
    assert_eq!(reason(&status).0, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(fields(&shop.place(&ada, &[(tea, 1)], "key-2").await.unwrap_err()), ["items[0].product_id"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_belongs_to_its_user_and_is_free_again_after_a_refusal() {
    let shop = Shop::open().await;
    let ([tea], ada, bob) = (products(), customer(), customer());
    let first = shop.place(&ada, &[(tea, 1)], "key-1").await.unwrap().order.unwrap();
    let other = shop.place(&bob, &[(tea, 1)], "key-1").await.unwrap();
    assert!(!other.replayed);
    assert_ne!(other.order.unwrap().order_id, first.order_id);
    shop.put_on_shelf(tea, 0).await;
    assert_eq!(reason(&shop.place(&ada, &[(tea, 1)], "key-2").await.unwrap_err()).0, "INSUFFICIENT_STOCK");
    shop.put_on_shelf(tea, 1).await;
    assert!(!shop.place(&ada, &[(tea, 1)], "key-2").await.unwrap().replayed);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_key_each_request_is_an_order() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    for _ in 0..2 {
        assert!(!shop.place(&ada, &[(tea, 1)], "").await.unwrap().replayed);
    }
    assert_eq!(shop.written().await, (2, 2, 2));
    shop.close().await;
}
