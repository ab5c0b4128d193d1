//! Those who change the same rows at the same moment: whoever has to give way is tried again, from the beginning, and the order is there once.

use diesel_async::SimpleAsyncConnection;
use events::testing::eventually;
use futures::future::join;
use proto::orders::{CreateCustomerRequest, Order, OrderStatus, SetStockRequest};
use tonic::Status;
use uuid::Uuid;

use crate::shop::{Shop, assert_unavailable, customer, products};

const STOCK: i32 = db::seed::STOCK;
/// What Postgres says, and under which code.
const CONFLICTS: [(&str, &str); 2] = [("40001", "could not serialize access due to concurrent update"), ("40P01", "deadlock detected")];

/// From now on the first `times` statements that write into `table` fail in that way.
async fn let_fail(shop: &Shop, table: &str, (code, message): (&str, &str), times: i64) {
    let trigger = format!(
        "CREATE SEQUENCE orders.attempts;
         CREATE FUNCTION orders.meet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('orders.attempts') <= {times} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '{code}'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER meet BEFORE INSERT ON orders.{table} FOR EACH STATEMENT EXECUTE FUNCTION orders.meet()"
    );
    shop.run_sql(&trigger).await;
}

/// Ends that, and tells how many attempts there were.
async fn attempts(shop: &Shop) -> i64 {
    let attempts = shop.number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM orders.attempts").await;
    shop.run_sql("DROP FUNCTION orders.meet() CASCADE; DROP SEQUENCE orders.attempts").await;
    attempts
}

async fn new_customer(shop: &Shop, email: &str) -> Result<(), Status> {
    let request = CreateCustomerRequest { username: "Bob".into(), email: email.into() };
    shop.customers().create_customer(request).await.map(drop)
}

async fn set_stock(shop: &Shop, product: Uuid, available: u32) -> Result<(), Status> {
    shop.shelves().set_stock(SetStockRequest { product_id: product.to_string(), available, version: None }).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_that_meets_others_twice_is_made_by_its_third_attempt_and_once() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    for (number, conflict) in CONFLICTS.into_iter().enumerate() {
        let before = (shop.written().await, shop.on_shelf(tea).await);
        let_fail(&shop, "outbox", conflict, 2).await;
        let placed = shop.place(&ada, &[(tea, 3)], &format!("key-{number}")).await.unwrap();
        assert!(!placed.replayed, "no attempt has left anything behind");
        assert_eq!(attempts(&shop).await, 3);
        let ((orders, lines, events), left) = before;
        assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((orders + 1, lines + 1, events + 1), left - 3));

        let order_id = placed.order.unwrap().order_id;
        let_fail(&shop, "outbox", conflict, 2).await;
        assert_eq!(shop.step(&order_id, OrderStatus::Paid).await.unwrap().version, 2);
        assert_eq!(attempts(&shop).await, 3);
        let_fail(&shop, "outbox", conflict, 2).await;
        assert_eq!(shop.cancel(&order_id).await.unwrap().version, 3);
        assert_eq!(attempts(&shop).await, 3);
        assert_eq!((shop.written().await.2, shop.on_shelf(tea).await), (events + 3, left), "the pieces came back once");

        let_fail(&shop, "stock", conflict, 2).await;
        set_stock(&shop, pot, 7).await.unwrap();
        assert_eq!((attempts(&shop).await, shop.on_shelf(pot).await), (3, 7));
        let_fail(&shop, "customers", conflict, 2).await;
        new_customer(&shop, &format!("bob{number}@example.com")).await.unwrap();
        assert_eq!(attempts(&shop).await, 3);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_that_meets_others_each_time_is_unavailable_after_three_attempts_and_nothing_is_done() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    let before = (shop.written().await, shop.on_shelf(tea).await);
    for conflict in CONFLICTS {
        let_fail(&shop, "outbox", conflict, i64::MAX).await;
        assert_unavailable("placing", &shop.place(&ada, &[(tea, 1)], "again").await.unwrap_err());
        assert_eq!(attempts(&shop).await, 3);
        let_fail(&shop, "outbox", conflict, i64::MAX).await;
        assert_unavailable("a step", &shop.step(&order.order_id, OrderStatus::Paid).await.unwrap_err());
        assert_eq!(attempts(&shop).await, 3);
        let_fail(&shop, "outbox", conflict, i64::MAX).await;
        assert_unavailable("cancelling", &shop.cancel(&order.order_id).await.unwrap_err());
        assert_eq!(attempts(&shop).await, 3);
        let_fail(&shop, "stock", conflict, i64::MAX).await;
        assert_unavailable("setting stock", &set_stock(&shop, tea, 5).await.unwrap_err());
        assert_eq!(attempts(&shop).await, 3);
        let_fail(&shop, "customers", conflict, i64::MAX).await;
        assert_unavailable("a new customer", &new_customer(&shop, "bob@example.com").await.unwrap_err());
        assert_eq!(attempts(&shop).await, 3);
        assert_eq!((shop.written().await, shop.on_shelf(tea).await), before);
        assert_eq!(shop.get(&order.order_id, "").await.unwrap(), order);
    }
    assert!(!shop.place(&ada, &[(tea, 1)], "again").await.unwrap().replayed);
    shop.close().await;
}

/// Three products in the order in which they are locked.
fn in_order() -> [Uuid; 3] {
    let mut all = products();
    all.sort();
    all
}

/// Makes `change`, which takes pieces of all three products, run into a deadlock, whose victim it is. One session holds
/// it up at the second product, while another one, who has the third, asks for the first, which the change has already. Let go, the
/// change is the last to wait: it closes the circle, and Postgres looks for one when somebody has begun to wait.
async fn deadlocked<T>(shop: &Shop, [first, second, third]: [Uuid; 3], change: impl Future<Output = T>) -> T {
    let lock = |product: Uuid| format!("SELECT * FROM orders.stock WHERE product_id = '{product}' FOR UPDATE");
    let (mut brake, mut rival) = (shop.connection().await, shop.connection().await);
    brake.batch_execute(&format!("BEGIN; {}", lock(second))).await.unwrap();
    rival.batch_execute(&format!("SET application_name = 'rival'; SET deadlock_timeout = '1h'; BEGIN; {}", lock(third))).await.unwrap();
    let rival_waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'rival' AND wait_event_type = 'Lock'";
    let circle = async {
        eventually("the change is held up", async || shop.waiting().await == 1).await;
        let wants = lock(first);
        let ask = async {
            rival.batch_execute(&wants).await.unwrap();
            rival.batch_execute("ROLLBACK").await.unwrap();
        };
        let release = async {
            eventually("the rival waits for the change", async || shop.number(rival_waits).await == 1).await;
            brake.batch_execute("ROLLBACK").await.unwrap();
        };
        join(ask, release).await;
    };
    join(change, circle).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_that_is_the_victim_of_a_deadlock_is_placed_once() {
    let shop = Shop::open().await;
    shop.set("deadlock_timeout = '10ms'").await;
    let ([one, two, three], ada) = (in_order(), customer());
    let lines = [(three, 3), (one, 1), (two, 2)];
    let order = deadlocked(&shop, [one, two, three], shop.place(&ada, &lines, "key-1")).await.unwrap().order.unwrap();
    assert_eq!(shop.get(&order.order_id, &ada.user_id).await.unwrap(), order);
    let left = [shop.on_shelf(one).await, shop.on_shelf(two).await, shop.on_shelf(three).await];
    assert_eq!((shop.written().await, left), ((1, 3, 1), [STOCK - 1, STOCK - 2, STOCK - 3]));
    assert_eq!(shop.deadlocks().await, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cancellation_that_is_the_victim_of_a_deadlock_gives_the_pieces_back_once() {
    let shop = Shop::open().await;
    shop.set("deadlock_timeout = '10ms'").await;
    let ([one, two, three], ada) = (in_order(), customer());
    let order: Order = shop.place(&ada, &[(two, 2), (three, 3), (one, 1)], "").await.unwrap().order.unwrap();
    let cancelled = deadlocked(&shop, [one, two, three], shop.cancel(&order.order_id)).await.unwrap();
    assert_eq!((cancelled.status(), cancelled.version), (OrderStatus::Cancelled, 2));
    let left = [shop.on_shelf(one).await, shop.on_shelf(two).await, shop.on_shelf(three).await];
    assert_eq!((shop.written().await.2, left), (2, [STOCK; 3]));
    assert_eq!(shop.deadlocks().await, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn under_a_stricter_isolation_an_order_whose_stock_has_changed_meanwhile_is_placed_once() {
    let shop = Shop::open().await;
    shop.set("default_transaction_isolation = 'repeatable read'").await;
    let ([tea], ada) = (products(), customer());
    let mut other = shop.connection().await;
    let take = format!("BEGIN; UPDATE orders.stock SET available = available - 5 WHERE product_id = '{tea}'");
    other.batch_execute(&take).await.unwrap();
    let commit = async {
        eventually("the order waits", async || shop.waiting().await == 1).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (placed, ()) = join(shop.place(&ada, &[(tea, 1)], "key-1"), commit).await;
    assert!(!placed.unwrap().replayed);
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((1, 1, 1), STOCK - 6));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn under_a_stricter_isolation_a_step_of_an_order_that_has_changed_meanwhile_sees_the_change() {
    let shop = Shop::open().await;
    shop.set("default_transaction_isolation = 'serializable'").await;
    let ([tea], ada) = (products(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    let mut other = shop.connection().await;
    other.batch_execute("BEGIN; UPDATE orders.orders SET status = 'paid', version = version + 1").await.unwrap();
    let commit = async {
        eventually("the step waits", async || shop.waiting().await == 1).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (shipped, ()) = join(shop.step(&order.order_id, OrderStatus::Shipped), commit).await;
    assert_eq!(shipped.unwrap().version, 3);
    shop.close().await;
}
