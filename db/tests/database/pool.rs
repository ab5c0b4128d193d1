//! Sessions as a service has them.

use std::time::{Duration, Instant};

use chassis::Process;
use chassis::config::Secret;
use chassis::testing::metric;
use db::connection::Connection;
use db::pool::{DatabaseConfig, DatabaseUnavailable, Pool};
use db::roles::Role;
use db::schema::orders::{orders, stock};
use db::seed;
use db::testing::TestDatabase;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What a service gets that says nothing of its own but where the database is.
fn usual(url: String) -> DatabaseConfig {
    DatabaseConfig { url: Secret::new(url), ..DatabaseConfig::default() }
}

fn pool(config: &DatabaseConfig, process: &Process) -> Pool {
    Pool::new(config, "orders", process).expect("a pool")
}

async fn line(connection: &mut Connection, query: &str) -> String {
    diesel::sql_query(query).get_result::<Line>(connection).await.expect(query).line
}

#[tokio::test]
async fn sessions_bear_the_services_name_and_have_every_timeout() {
    let database = TestDatabase::create().await;
    let pool = pool(&usual(database.url(Role::Orders)), &Process::default());
    let settings = "SELECT concat_ws(' ', application_name, current_setting('statement_timeout'), current_setting('lock_timeout'),
        current_setting('idle_in_transaction_session_timeout'), current_setting('TimeZone'), usename) AS line
        FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let expected = "orders 30s 5s 10s UTC throughline_orders";
    assert_eq!(line(&mut pool.get().await.expect("a connection"), settings).await, expected);
    assert_eq!(line(&mut pool.dedicated().await.expect("a connection beside the pool"), settings).await, expected);
}

#[tokio::test]
async fn the_timeouts_are_the_configurations() {
    let database = TestDatabase::create().await;
    let config = DatabaseConfig {
        statement_timeout_ms: 100,
        lock_timeout_ms: 50,
        idle_in_transaction_timeout_ms: 70,
        ..usual(database.url(Role::Orders))
    };
    let pool = pool(&config, &Process::default());
    let mut connection = pool.get().await.expect("a connection");
    let late = connection.batch_execute("SELECT pg_sleep(60)").await.expect_err("too late");
    assert!(late.to_string().contains("statement timeout") && db::pool::is_unavailable(&late), "{late}");
    let mut other = pool.get().await.expect("another connection");
    other.batch_execute("BEGIN; SELECT FROM orders.stock FOR UPDATE").await.expect("locked");
    let waited = connection.batch_execute("SELECT FROM orders.stock FOR UPDATE").await.expect_err("locked by the other");
    assert!(waited.to_string().contains("lock timeout"), "{waited}");
    // the idle one is thrown out, and its lock is free
    chassis::testing::eventually("the lock is free", async || {
        connection.batch_execute("SELECT FROM orders.stock FOR UPDATE").await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn whoever_finds_the_pool_used_up_is_told_after_a_second() {
    let database = TestDatabase::create().await;
    let (process, config) = (Process::default(), DatabaseConfig { pool_size: 2, ..usual(database.url(Role::Orders)) });
    let pool = pool(&config, &process);
    let taken = (pool.get().await.expect("one"), pool.get().await.expect("two"));
    let since = Instant::now();
    let refused: DatabaseUnavailable = pool.get().await.map(drop).expect_err("there are two");
    let waited = since.elapsed();
    assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(3), "{refused} after {waited:?}");
    drop(taken);
    drop(pool.get().await.expect("one is free again"));
    let shown =
        |name: &str| metric(&process, &format!("db_client_connection_{name}{{db_client_connection_pool_name=\"orders/postgresql\"}}"));
    assert_eq!((shown("wait_time_seconds_count"), shown("timeouts_total"), shown("max")), (Some(3.0), Some(1.0), Some(2.0)));
}

#[tokio::test]
async fn a_statement_is_prepared_once_however_often_it_runs() {
    let database = TestDatabase::create().await;
    let pool = pool(&usual(database.url(Role::Orders)), &Process::default());
    let mut connection = pool.get().await.expect("a connection");
    let prepared = "SELECT count(*)::text AS line FROM pg_prepared_statements";
    let mut after = Vec::new();
    for (turn, product) in seed::products().iter().take(50).enumerate() {
        let one = stock::table.find(product.product_id).select(stock::available).first::<i32>(&mut connection).await;
        let some: Vec<_> = seed::products().iter().take(turn).map(|product| product.product_id).collect();
        let several = stock::table.filter(stock::product_id.eq_any(some)).count().get_result::<i64>(&mut connection).await;
        assert_eq!((one, several), (Ok(seed::STOCK), Ok(i64::try_from(turn).expect("a count"))));
        after.push(line(&mut connection, prepared).await);
    }
    after.dedup();
    assert_eq!(after.len(), 1, "{after:?}");
}

/// A relay in front of Postgres that counts how often the client has spoken and the server has answered.
async fn relay(url: &str) -> (String, watch::Receiver<u32>) {
    let upstream = url::Url::parse(url).expect("a URL");
    let server = format!("{}:{}", upstream.host_str().expect("a host"), upstream.port().expect("a port"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut reachable = upstream;
    reachable.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
    let (told, turns) = watch::channel(0);
    chassis::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(server).await.expect("the server");
        let (mut asked, mut answered, mut client_spoke) = ([0; 8_192], [0; 8_192], false);
        loop {
            tokio::select! {
                Ok(size @ 1..) = client.read(&mut asked) => {
                    told.send_modify(|turns| *turns += u32::from(!client_spoke));
                    client_spoke = true;
                    server.write_all(&asked[..size]).await.expect("written");
                }
                Ok(size @ 1..) = server.read(&mut answered) => {
                    client_spoke = false;
                    client.write_all(&answered[..size]).await.expect("written");
                }
                else => break,
            }
        }
    });
    (reachable.into(), turns)
}

#[tokio::test]
async fn two_queries_share_a_round_trip() {
    let database = TestDatabase::create().await;
    let (url, turns) = relay(&database.url(Role::Orders)).await;
    let pool = pool(&usual(url), &Process::default());
    let mut connection = pool.get().await.expect("a connection");
    let pipelined = async |connection: &Connection| {
        let shelves = stock::table.count().get_result::<i64>(&mut &*connection);
        let placed = orders::table.count().get_result::<i64>(&mut &*connection);
        futures::try_join!(shelves, placed)
    };
    // each is prepared when it is first used
    assert_eq!(pipelined(&connection).await, Ok((200, 0)));
    let before = *turns.borrow();
    assert_eq!(pipelined(&connection).await, Ok((200, 0)));
    let between = *turns.borrow();
    assert_eq!(between - before, 1, "round trips of two queries at once");
    assert_eq!(stock::table.count().get_result(&mut connection).await, Ok(200_i64));
    assert_eq!(orders::table.count().get_result(&mut connection).await, Ok(0_i64));
    assert_eq!(*turns.borrow() - between, 2, "and of two in turn");
    let within = connection.transaction(async |connection| pipelined(connection).await).await;
    assert_eq!(within, Ok((200, 0)));
}

#[tokio::test]
async fn one_of_two_that_fails_leaves_the_connection_as_good_as_it_was() {
    let database = TestDatabase::create().await;
    let pool = pool(&usual(database.url(Role::Orders)), &Process::default());
    let connection = pool.get().await.expect("a connection");
    for _ in 0..3 {
        let bad = diesel::sql_query("SELECT (1 / (available - available))::text AS line FROM orders.stock").load::<Line>(&mut &*connection);
        let good = stock::table.count().get_result::<i64>(&mut &*connection);
        let (bad, good) = futures::join!(bad, good);
        assert!(bad.err().expect("a division").to_string().contains("division by zero"));
        assert_eq!(good, Ok(200));
    }
}
