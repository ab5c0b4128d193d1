//! Many at once want the same: nobody waits in a circle, and not a piece is lost or sold twice.

use futures::future::{join_all, join3};
use proto::orders::SetStockRequest;
use uuid::Uuid;

use crate::shop::{Shop, customer, products};

/// Writes down each change of `stock` that the service makes.
const AUDIT: &str = "
    CREATE TABLE orders.moves (product_id uuid NOT NULL, change int NOT NULL);
    CREATE FUNCTION orders.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO orders.moves VALUES (NEW.product_id, NEW.available - OLD.available);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER UPDATE ON orders.stock FOR EACH ROW EXECUTE FUNCTION orders.note()";

/// Tens of thousands apart, so that no order's change looks like one of these.
const SET: [u32; 20] = {
    let mut all = [0; 20];
    let mut index: u32 = 0;
    while index < 20 {
        all[index as usize] = 500_000 + index * 20_000;
        index += 1;
    }
    all
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_hundred_orders_in_opposite_order_with_cancellations_and_stock_changes_meet_without_a_deadlock_and_stock_is_exact() {
    let shop = Shop::open().await;
    let ([one, other], ada) = (products(), customer());
    let lines = |number: usize| if number.is_multiple_of(2) { [(one, 1), (other, 2)] } else { [(other, 2), (one, 1)] };
    let mut regretted = Vec::new();
    for number in 0..60 {
        regretted.push(shop.place(&customer(), &lines(number), "").await.unwrap().order.unwrap().order_id);
    }
    shop.run_sql(AUDIT).await;
    let place = join_all((0..200).map(|number| {
        let (shop, ada, lines) = (&shop, &ada, lines(number));
        async move { shop.place(ada, &lines, "").await }
    }));
    let cancel = join_all(regretted.iter().map(|order_id| shop.cancel(order_id)));
    let set = join_all(SET.iter().enumerate().map(|(number, available)| {
        let (mut shelves, product) = (shop.shelves(), if number.is_multiple_of(2) { one } else { other });
        let request = SetStockRequest { product_id: product.to_string(), available: *available, version: None };
        async move { shelves.set_stock(request).await }
    }));
    let (placed, cancelled, set) = join3(place, cancel, set).await;
    assert!(placed.iter().all(Result::is_ok) && cancelled.iter().all(Result::is_ok) && set.iter().all(Result::is_ok));

    for (product, pieces) in [(one, 1), (other, 2)] {
        let sum = async |which: &str| shop.number(&moves(product, which)).await;
        assert_eq!(sum("count(*)").await, 200 + 60 + 10, "each order, each cancellation and each setting has changed it once");
        assert_eq!(sum("sum(change) FILTER (WHERE abs(change) < 1000)").await, (60 - 200) * pieces);
        let first = i64::from(db::seed::STOCK) - 60 * pieces;
        assert_eq!(i64::from(shop.on_shelf(product).await), first + sum("sum(change)").await);
    }
    assert_eq!(shop.written().await, (260, 520, 320));
    assert_eq!(shop.deadlocks().await, 0);
    shop.close().await;
}

fn moves(product: Uuid, what: &str) -> String {
    format!("SELECT {what} FROM orders.moves WHERE product_id = '{product}'")
}
