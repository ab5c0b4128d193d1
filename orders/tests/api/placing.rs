//! An order is placed: everything about it is written at once.

use db::schema::orders::{customers, order_items, orders, outbox};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use events::{contract::OrderPlaced, envelope::Envelope};
use proto::orders::OrderStatus;
use rust_decimal::{Decimal, dec};
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_its_customer_its_lines_its_stock_and_its_event_are_written_together() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "6.40", "EUR");
    shop.catalog.sell(pot, "Tea pot", "27.95", "EUR");
    shop.put_on_shelf(tea, 10).await;
    shop.put_on_shelf(pot, 3).await;
    let answer = shop.place(&ada, &[(pot, 2), (tea, 10)], "").await.unwrap();
    let order = answer.order.unwrap();
    assert!(!answer.replayed);
    assert_eq!((order.status(), order.version, order.user_id.as_str()), (OrderStatus::Placed, 1, ada.user_id.as_str()));
    assert_eq!((order.total_amount.as_str(), order.currency.as_str()), ("119.90", "EUR"));
    let lines: Vec<_> = order.items.iter().map(|item| (item.product_name.as_str(), item.quantity, item.unit_price.as_str())).collect();
    assert_eq!(lines, [("Tea pot", 2, "27.95"), ("Tea", 10, "6.40")]);
    assert_eq!((shop.on_shelf(tea).await, shop.on_shelf(pot).await), (0, 1));

    let mut connection = shop.connection().await;
    let order_id: Uuid = order.order_id.parse().unwrap();
    let customer: (Uuid, String, String) =
        customers::table.select((customers::customer_id, customers::username, customers::email)).get_result(&mut connection).await.unwrap();
    assert_eq!(customer, (ada.user_id.parse().unwrap(), "Ada".into(), "ada@example.com".into()));
    let row: (Uuid, Uuid, String, Decimal) = orders::table
        .select((orders::order_id, orders::customer_id, orders::status, orders::total_amount))
        .get_result(&mut connection)
        .await
        .unwrap();
    assert_eq!(row, (order_id, customer.0, "placed".into(), dec!(119.90)));
    let rows: Vec<(i16, Uuid, i32, Decimal)> = order_items::table
        .select((order_items::line, order_items::product_id, order_items::quantity, order_items::unit_price))
        .filter(order_items::order_id.eq(order_id))
        .order(order_items::line)
        .load(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows, [(1, pot, 2, dec!(27.95)), (2, tea, 10, dec!(6.40))]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_event_in_the_outbox_says_what_the_order_says_and_carries_the_callers_trace() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    let mut request = tonic::Request::new(crate::shop::request(&ada, &[(tea, 2), (pot, 1)], ""));
    request.metadata_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    request.metadata_mut().insert("tracestate", "acme=1".parse().unwrap());
    let order = shop.client.clone().place_order(request).await.unwrap().into_inner().order.unwrap();
    let (event_id, topic, key, payload, traceparent, tracestate): (Uuid, String, String, String, Option<String>, Option<String>) =
        outbox::table
            .select((outbox::event_id, outbox::topic, outbox::key, outbox::payload, outbox::traceparent, outbox::tracestate))
            .get_result(&mut shop.connection().await)
            .await
            .unwrap();
    assert_eq!((topic.as_str(), key.as_str()), ("orders.created", order.order_id.as_str()));
    assert_eq!((traceparent.as_deref(), tracestate.as_deref()), (Some(TRACEPARENT), Some("acme=1")));
    assert_eq!(shop.catalog.traceparents(), [TRACEPARENT], "the catalogue is asked in the same trace");
    let event: Envelope<OrderPlaced> = serde_json::from_str(&payload).unwrap();
    assert_eq!((event.event_id, event.event_type.as_str(), event.aggregate_version), (event_id, "OrderPlaced", 1));
    assert_eq!(event.aggregate_id.to_string(), order.order_id);
    let data = event.data;
    assert_eq!((data.username.as_str(), data.email.as_str()), ("Ada", "ada@example.com"));
    assert_eq!((data.total_amount.to_string(), data.currency), (order.total_amount.clone(), order.currency.clone()));
    assert_eq!(data.items.iter().map(|item| item.product_id).collect::<Vec<_>>(), [tea, pot]);
    let seen = shop.get(&order.order_id, &ada.user_id).await.unwrap();
    let created = seen.created_at.unwrap();
    assert_eq!((data.timestamp.timestamp(), data.timestamp.timestamp_subsec_nanos()), (created.seconds, created.nanos.cast_unsigned()));
    assert_eq!(seen, order, "what is read later is what was answered");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn prices_are_those_of_the_catalogue_at_that_time() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "1.10", "EUR");
    let before = shop.place(&ada, &[(tea, 3)], "").await.unwrap().order.unwrap();
    shop.catalog.sell(tea, "Better tea", "2.20", "EUR");
    let after = shop.place(&ada, &[(tea, 3)], "").await.unwrap().order.unwrap();
    assert_eq!((before.total_amount.as_str(), after.total_amount.as_str()), ("3.30", "6.60"));
    let kept = shop.get(&before.order_id, &ada.user_id).await.unwrap();
    assert_eq!((kept.items[0].product_name.as_str(), kept.items[0].unit_price.as_str()), ("Tea", "1.10"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_product_is_named_and_nothing_is_written() {
    let shop = Shop::open().await;
    let ([tea], unknown) = (products(), Uuid::now_v7());
    let status = shop.place(&customer(), &[(tea, 1), (unknown, 1)], "").await.unwrap_err();
    assert_eq!(fields(&status), ["items[1].product_id"]);
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((0, 0, 0), db::seed::STOCK));
    shop.close().await;
}
