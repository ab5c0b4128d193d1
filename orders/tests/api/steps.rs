//! placed → paid → shipped → delivered, and no other way.

use db::schema::orders::outbox;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use proto::orders::{
    Order,
    OrderStatus::{self, Cancelled, Delivered, Paid, Placed, Shipped},
    UpdateOrderStatusRequest,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products, reason};

/// What may come after each status, and how an error names it.
const MACHINE: [(OrderStatus, &[OrderStatus], &str, &str); 5] = [
    (Placed, &[Paid, Cancelled], "placed", "paid,cancelled"),
    (Paid, &[Shipped, Cancelled], "paid", "shipped,cancelled"),
    (Shipped, &[Delivered], "shipped", "delivered"),
    (Delivered, &[], "delivered", ""),
    (Cancelled, &[], "cancelled", ""),
];

/// A new order that has got as far as `status`.
async fn order_at(shop: &Shop, status: OrderStatus) -> Order {
    let [tea] = products();
    let order = shop.place(&customer(), &[(tea, 1)], "").await.unwrap().order.unwrap();
    let way: &[OrderStatus] = match status {
        Placed | OrderStatus::Unspecified => return order,
        Cancelled => return shop.cancel(&order.order_id).await.unwrap(),
        Paid => &[Paid],
        Shipped => &[Paid, Shipped],
        Delivered => &[Paid, Shipped, Delivered],
    };
    let mut order = order;
    for step in way {
        order = shop.step(&order.order_id, *step).await.unwrap();
    }
    order
}

fn assert_forbidden(status: &Status, now: &str, allowed: &str) {
    let (reason, metadata) = reason(status);
    assert_eq!((status.code(), reason.as_str()), (Code::FailedPrecondition, "STATUS_STEP_FORBIDDEN"));
    assert_eq!((metadata["status"].as_str(), metadata["allowed"].as_str()), (now, allowed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_all_pairs_of_statuses_the_allowed_ones_pass_and_the_others_name_what_is_allowed() {
    let shop = Shop::open().await;
    for (from, next, name, allowed) in MACHINE {
        for to in [Paid, Shipped, Delivered, Cancelled] {
            let before = order_at(&shop, from).await;
            let answer = if to == Cancelled { shop.cancel(&before.order_id).await } else { shop.step(&before.order_id, to).await };
            let after = shop.get(&before.order_id, "").await.unwrap();
            if next.contains(&to) {
                let expected = Order { status: to.into(), version: before.version + 1, ..before };
                assert_eq!((answer.unwrap(), after), (expected.clone(), expected), "{from:?} to {to:?}");
            } else {
                assert_forbidden(&answer.unwrap_err(), name, allowed);
                assert_eq!(after, before, "{from:?} to {to:?} changes nothing");
            }
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_step_is_refused_with_those_that_are_whatever_the_order_is() {
    use tonic_types::StatusExt;
    let shop = Shop::open().await;
    let order = order_at(&shop, Placed).await;
    for number in [Placed.into(), Cancelled.into(), OrderStatus::Unspecified.into(), 6, 99, -1, i32::MIN, i32::MAX] {
        let request = UpdateOrderStatusRequest { order_id: order.order_id.clone(), status: number, version: None };
        let status = shop.update(request).await.unwrap_err();
        assert_eq!(fields(&status), ["status"], "{number}");
        let allowed = &status.get_details_bad_request().unwrap().field_violations[0].description;
        assert!(["paid", "shipped", "delivered"].iter().all(|step| allowed.contains(step)), "{allowed}");
        assert!(!allowed.contains("cancelled"), "{allowed}");
    }
    assert_eq!(shop.get(&order.order_id, "").await.unwrap(), order);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_step_of_another_version_is_refused_with_the_current_one() {
    let shop = Shop::open().await;
    let order = order_at(&shop, Paid).await;
    let ask = |status: OrderStatus, version| UpdateOrderStatusRequest {
        order_id: order.order_id.clone(),
        status: status.into(),
        version: Some(version),
    };
    // an old version comes before a wrong step: who has one may not know the status
    for (status, version) in
        [(Shipped, 1), (Delivered, 1), (Shipped, 0), (Shipped, 3), (Shipped, -1), (Shipped, i64::MIN), (Shipped, i64::MAX)]
    {
        let error = shop.update(ask(status, version)).await.unwrap_err();
        let (reason, metadata) = reason(&error);
        assert_eq!((error.code(), reason.as_str(), metadata["version"].as_str()), (Code::Aborted, "VERSION_MISMATCH", "2"), "{version}");
    }
    assert_eq!(shop.update(ask(Shipped, 2)).await.unwrap().version, 3);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_twenty_equal_steps_at_once_one_wins_and_one_event_tells_of_it() {
    let shop = Shop::open().await;
    for version in [None, Some(1)] {
        let order = order_at(&shop, Placed).await;
        let request = UpdateOrderStatusRequest { order_id: order.order_id.clone(), status: Paid.into(), version };
        let answers = join_all((0..20).map(|_| shop.update(request.clone()))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), won[0].as_ref().unwrap().version), (1, 2));
        for status in lost.into_iter().map(Result::unwrap_err) {
            match version {
                None => assert_forbidden(&status, "paid", "shipped,cancelled"),
                Some(_) => assert_eq!((status.code(), reason(&status).0.as_str()), (Code::Aborted, "VERSION_MISMATCH")),
            }
        }
        let told = outbox::table.filter(outbox::key.eq(&order.order_id)).filter(outbox::topic.eq("orders.updated")).count();
        let told: i64 = told.get_result(&mut shop.connection().await).await.unwrap();
        assert_eq!((told, shop.get(&order.order_id, "").await.unwrap().version), (1, 2));
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_that_is_not_there_cannot_change() {
    let shop = Shop::open().await;
    let unknown = Uuid::now_v7().to_string();
    assert_eq!(shop.step(&unknown, Paid).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(shop.cancel(&unknown).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(shop.written().await, (0, 0, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_has_its_time() {
    use chrono::{DateTime, Utc};
    use db::schema::orders::orders;
    let shop = Shop::open().await;
    let order = order_at(&shop, Placed).await;
    let mut connection = shop.connection().await;
    let id: Uuid = order.order_id.parse().unwrap();
    let times = orders::table.find(id).select((orders::created_at, orders::updated_at));
    let before: (DateTime<Utc>, DateTime<Utc>) = times.get_result(&mut connection).await.unwrap();
    shop.step(&order.order_id, Paid).await.unwrap();
    let after: (DateTime<Utc>, DateTime<Utc>) = times.get_result(&mut connection).await.unwrap();
    assert_eq!((before.0, before.1), (before.1, after.0));
    assert!(after.1 > before.1, "{before:?} {after:?}");
    shop.close().await;
}
