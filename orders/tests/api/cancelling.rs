//! A cancelled order is as if it had not been placed, but for the record of it.

use db::schema::orders::outbox;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use futures::future::{join, join_all};
use proto::orders::{CancelOrderRequest, OrderStatus};
use tonic::Code;
use uuid::Uuid;

use crate::shop::{Shop, customer, products, reason};

const STOCK: i32 = db::seed::STOCK;

async fn told(shop: &Shop, topic: &str) -> i64 {
    outbox::table.filter(outbox::topic.eq(topic)).count().get_result(&mut shop.connection().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_pieces_come_back_with_the_cancellation_and_its_event() {
    let shop = Shop::open().await;
    let [tea, pot, cup] = products();
    shop.put_on_shelf(cup, 3).await;
    let order = shop.place(&customer(), &[(pot, 2), (tea, 7), (cup, 3)], "").await.unwrap().order.unwrap();
    shop.step(&order.order_id, OrderStatus::Paid).await.unwrap();
    let cancelled = shop.cancel(&order.order_id).await.unwrap();
    assert_eq!((cancelled.status(), cancelled.version), (OrderStatus::Cancelled, 3));
    assert_eq!(cancelled.items, order.items);
    let shelves = [shop.on_shelf(tea).await, shop.on_shelf(pot).await, shop.on_shelf(cup).await];
    assert_eq!((shelves, told(&shop, "orders.cancelled").await), ([STOCK, STOCK, 3], 1));
    assert!(shop.place(&customer(), &[(cup, 3)], "").await.is_ok(), "somebody else gets them");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_twenty_cancellations_at_once_one_gives_the_pieces_back() {
    let shop = Shop::open().await;
    let [tea] = products();
    let order = shop.place(&customer(), &[(tea, 5)], "").await.unwrap().order.unwrap();
    let answers = join_all((0..20).map(|_| shop.cancel(&order.order_id))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for status in lost.into_iter().map(Result::unwrap_err) {
        let (reason, metadata) = reason(&status);
        assert_eq!((status.code(), reason.as_str()), (Code::FailedPrecondition, "STATUS_STEP_FORBIDDEN"));
        assert_eq!((metadata["status"].as_str(), metadata["allowed"].as_str()), ("cancelled", ""));
    }
    assert_eq!((shop.on_shelf(tea).await, told(&shop, "orders.cancelled").await), (STOCK, 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shipped_order_keeps_its_pieces() {
    let shop = Shop::open().await;
    let [tea] = products();
    let order = shop.place(&customer(), &[(tea, 5)], "").await.unwrap().order.unwrap();
    for (step, allowed) in [(OrderStatus::Paid, None), (OrderStatus::Shipped, Some("delivered")), (OrderStatus::Delivered, Some(""))] {
        shop.step(&order.order_id, step).await.unwrap();
        if let Some(allowed) = allowed {
            let (reason, metadata) = reason(&shop.cancel(&order.order_id).await.unwrap_err());
            assert_eq!((reason.as_str(), metadata["allowed"].as_str()), ("STATUS_STEP_FORBIDDEN", allowed));
        }
    }
    assert_eq!((shop.on_shelf(tea).await, told(&shop, "orders.cancelled").await), (STOCK - 5, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_shipping_and_cancelling_at_once_one_happens_and_of_paying_and_cancelling_cancelling_does() {
    let shop = Shop::open().await;
    let [tea] = products();
    let mut kept = 0;
    for _ in 0..20 {
        let order = shop.place(&customer(), &[(tea, 1)], "").await.unwrap().order.unwrap();
        let (paid, cancelled) = join(shop.step(&order.order_id, OrderStatus::Paid), shop.cancel(&order.order_id)).await;
        // paid first, it is cancelled afterwards
        assert_eq!(cancelled.unwrap().version, 2 + i64::from(paid.is_ok()));
        assert!(paid.is_ok_and(|order| order.version == 2) || shop.get(&order.order_id, "").await.unwrap().version == 2);

        let order = shop.place(&customer(), &[(tea, 1)], "").await.unwrap().order.unwrap();
        shop.step(&order.order_id, OrderStatus::Paid).await.unwrap();
        let (shipped, cancelled) = join(shop.step(&order.order_id, OrderStatus::Shipped), shop.cancel(&order.order_id)).await;
        assert_ne!(shipped.is_ok(), cancelled.is_ok());
        let now = shop.get(&order.order_id, "").await.unwrap();
        let expected = if shipped.is_ok() { OrderStatus::Shipped } else { OrderStatus::Cancelled };
        assert_eq!((now.status(), now.version), (expected, 3));
        kept += i32::from(shipped.is_ok());
    }
    assert_eq!(shop.on_shelf(tea).await, STOCK - kept);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn orders_and_cancellations_of_the_same_products_in_opposite_order_do_not_lock_each_other_out() {
    let shop = Shop::open().await;
    let [one, other] = products();
    let lines = |number: usize| if number.is_multiple_of(2) { [(one, 1), (other, 2)] } else { [(other, 2), (one, 1)] };
    let ada = customer();
    let mut placed = Vec::new();
    for number in 0..60 {
        placed.push(shop.place(&ada, &lines(number), "").await.unwrap().order.unwrap().order_id);
    }
    let cancel = join_all(placed.iter().map(|order_id| shop.cancel(order_id)));
    let place = join_all((0..60).map(|number| {
        let (shop, ada, lines) = (&shop, &ada, lines(number));
        async move { shop.place(ada, &lines, "").await }
    }));
    let (cancelled, placed) = join(cancel, place).await;
    for answer in cancelled {
        answer.unwrap();
    }
    for answer in placed {
        answer.unwrap();
    }
    assert_eq!((shop.on_shelf(one).await, shop.on_shelf(other).await), (STOCK - 60, STOCK - 120));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_cancels_their_own_orders_and_an_old_version_is_told() {
    let shop = Shop::open().await;
    let ([tea], ada, bob) = (products(), customer(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    let ask = |order_id: &str, user_id: &str, version| CancelOrderRequest { order_id: order_id.into(), user_id: user_id.into(), version };
    let of_another = shop.cancel_with(ask(&order.order_id, &bob.user_id, None)).await.unwrap_err();
    let unknown = shop.cancel_with(ask(&Uuid::now_v7().to_string(), &bob.user_id, None)).await.unwrap_err();
    assert_eq!((of_another.code(), unknown.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(of_another.details(), unknown.details(), "nothing tells one from the other");
    for version in [0, 2, i64::MIN, i64::MAX] {
        let error = shop.cancel_with(ask(&order.order_id, &ada.user_id, Some(version))).await.unwrap_err();
        let (reason, metadata) = reason(&error);
        assert_eq!((error.code(), reason.as_str(), metadata["version"].as_str()), (Code::Aborted, "VERSION_MISMATCH", "1"));
    }
    assert_eq!((shop.get(&order.order_id, "").await.unwrap(), shop.on_shelf(tea).await), (order.clone(), STOCK - 1));
    shop.cancel_with(ask(&order.order_id, &ada.user_id, Some(1))).await.unwrap();
    assert_eq!(shop.on_shelf(tea).await, STOCK);
    shop.close().await;
}
