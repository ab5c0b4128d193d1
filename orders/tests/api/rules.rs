//! What an order may be: each rule by its name. That of quantities, of products on two lines and of the number of lines are the
//! request's; that of products that there are is the catalogue's; that of money is the column's.

use db::schema::orders::{order_items, orders};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use rust_decimal::{Decimal, dec};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products};

/// The one field that is refused, and what is allowed.
fn refusal(status: &Status) -> (String, String) {
    assert_eq!(fields(status).len(), 1, "{status:?}");
    let violation = status.get_details_bad_request().unwrap().field_violations.remove(0);
    (violation.field, violation.description)
}

/// None of these is placed: each is refused for `field`, with these words; and nothing is written or taken.
async fn refused(shop: &Shop, wishes: &[Vec<(Uuid, u32)>], field: &str, words: &str) {
    for wish in wishes {
        let (refused, allowed) = refusal(&shop.place(&customer(), wish, "").await.unwrap_err());
        assert_eq!(refused, field, "{wish:?}");
        assert!(allowed.contains(words), "{allowed}");
    }
    assert_eq!(shop.written().await, (0, 0, 0));
    assert_eq!(shop.number("SELECT count(*) FROM orders.customers").await, 0);
    let taken = format!("SELECT count(*) FROM orders.stock WHERE available <> {}", db::seed::STOCK);
    assert_eq!(shop.number(&taken).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_quantity_is_one_to_a_thousand() {
    let shop = Shop::open().await;
    let [tea, pot] = products();
    let wishes = [0, 1_001, 1 << 31, u32::MAX].map(|quantity| vec![(tea, 1), (pot, quantity)]);
    refused(&shop, &wishes, "items[1].quantity", "1 to 1000").await;
    for quantity in [1, 1_000] {
        let order = shop.place(&customer(), &[(tea, quantity)], "").await.unwrap().order.unwrap();
        assert_eq!(order.items[0].quantity, quantity);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_product_has_one_line() {
    let shop = Shop::open().await;
    let [tea, pot] = products();
    refused(&shop, &[vec![(tea, 1), (pot, 1), (tea, 2)], vec![(pot, 1), (tea, 1), (pot, 1)]], "items[2].product_id", "twice").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_product_that_nobody_sells_is_named() {
    let shop = Shop::open().await;
    let ([tea], unknown) = (products(), Uuid::now_v7());
    refused(&shop, &[vec![(tea, 1), (unknown, 1)]], "items[1].product_id", &unknown.to_string()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_has_one_to_a_hundred_lines() {
    let shop = Shop::open().await;
    let all: [Uuid; 101] = products();
    let lines = |number: usize| all[..number].iter().map(|id| (*id, 1)).collect::<Vec<_>>();
    refused(&shop, &[Vec::new(), lines(101)], "items", "1 to 100").await;
    for number in [1, 100] {
        assert_eq!(shop.place(&customer(), &lines(number), "").await.unwrap().order.unwrap().items.len(), number);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn three_times_ten_cents_are_thirty_cents_in_the_answer_in_the_tables_in_the_event_and_in_the_sums() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.catalog.sell(tea, "Tea", "0.1", "EUR");
    shop.catalog.sell(pot, "Pot", "0.2", "EUR");
    let order = shop.place(&ada, &[(tea, 3)], "").await.unwrap().order.unwrap();
    assert_eq!((order.total_amount.as_str(), order.items[0].unit_price.as_str()), ("0.30", "0.10"));
    assert_eq!(shop.get(&order.order_id, "").await.unwrap(), order);
    let mut connection = shop.connection().await;
    let total: Decimal = orders::table.select(orders::total_amount).get_result(&mut connection).await.unwrap();
    let price: Decimal = order_items::table.select(order_items::unit_price).get_result(&mut connection).await.unwrap();
    assert_eq!((total.to_string(), price.to_string()), ("0.30".into(), "0.10".into()));
    let told = "SELECT count(*) FROM orders.outbox WHERE (payload::jsonb #>> '{data,total_amount}')::numeric = 0.3";
    assert_eq!(shop.number(told).await, 1);
    // as floats, a tenth and two tenths are 0.30000000000000004
    shop.place(&ada, &[(tea, 1), (pot, 1)], "").await.unwrap();
    for _ in 0..8 {
        shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    }
    let stats = shop.stats(proto::orders::GetOrderStatsRequest::default()).await.unwrap();
    assert_eq!(stats.by_currency[0].revenue, "1.40");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sums_are_exact_to_the_cent_up_to_ten_thousand_million_and_a_cent_more_is_refused_with_the_limit() {
    let shop = Shop::open().await;
    let ([crown, cent], ada) = (products(), customer());
    shop.catalog.sell(crown, "Crown", "9999999.99", "EUR");
    shop.catalog.sell(cent, "Cent", "0.01", "EUR");
    // 1,000 crowns are 9,999,999,990.00: doubles of that size still tell cents apart, single floats do not
    for (cents, total) in [(0, "9999999990.00"), (1, "9999999990.01"), (999, "9999999999.99")] {
        let lines = if cents == 0 { vec![(crown, 1_000)] } else { vec![(crown, 1_000), (cent, cents)] };
        let order = shop.place(&ada, &lines, "").await.unwrap().order.unwrap();
        assert_eq!((order.total_amount.as_str(), shop.get(&order.order_id, "").await.unwrap()), (total, order.clone()));
    }
    let (field, allowed) = refusal(&shop.place(&ada, &[(crown, 1_000), (cent, 1_000)], "").await.unwrap_err());
    assert_eq!((field.as_str(), allowed.as_str()), ("items", "the sum 10000000000.00 is above 9999999999.99"));
    let stats = shop.stats(proto::orders::GetOrderStatsRequest::default()).await.unwrap();
    // together they are more than one order can be
    assert_eq!((stats.by_currency[0].revenue.as_str(), stats.by_currency[0].largest_amount.as_str()), ("29999999980.00", "9999999999.99"));
    assert_eq!(dec!(9999999990.00) + dec!(9999999990.01) + dec!(9999999999.99), dec!(29999999980.00));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_price_that_is_no_amount_of_cents_or_overflows_is_the_catalogues_fault_and_nothing_is_rounded() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    for amount in ["0.001", "-0.01", "10000000000.00", "79228162514264337593543950335", "NaN", ""] {
        shop.catalog.sell(tea, "Tea", amount, "EUR");
        let status = shop.place(&ada, &[(tea, 1_000)], "").await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"), "{amount}");
    }
    assert_eq!(shop.written().await, (0, 0, 0));
    shop.close().await;
}
