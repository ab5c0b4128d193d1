//! The relay: what stands in an outbox gets into Kafka, in order, once, and only then leaves the outbox.

use chassis::{Process, config::Secret, testing::TestProxy};
use db::{
    pool::{DatabaseConfig, Pool},
    roles::Role,
    schema::orders::outbox,
    testing::TestDatabase,
};
use diesel::{QueryDsl, QueryableByName, sql_query, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use events::{
    kafka::KafkaConfig,
    outbox::OutboxRow,
    relay::{Relay, RelayConfig, RelayHandle},
    testing::{TestTopics, eventually},
};
use uuid::Uuid;

use crate::{
    running::pass_traces_on,
    sample::{TRACEPARENT, headers, item, placed},
};

const NEVER: RelayConfig = RelayConfig { sweep_interval_ms: 3_600_000, batch_size: 500, depth_interval_ms: 50 };
pub(crate) const OFTEN: RelayConfig = RelayConfig { sweep_interval_ms: 20, ..NEVER };

pub(crate) struct Replica {
    pub(crate) process: Process,
    handle: RelayHandle,
}

impl Replica {
    /// `name` is that of its connections.
    pub(crate) fn start(config: &RelayConfig, kafka: &KafkaConfig, url: &str, name: &str) -> Self {
        pass_traces_on();
        let process = Process::default();
        let database = DatabaseConfig { url: Secret::new(url), ..DatabaseConfig::default() };
        let pool = Pool::new(&database, name, &process).unwrap();
        let handle = Relay::start(config, kafka, pool, "orders", &process).unwrap();
        Self { process, handle }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.process.shutdown.cancel();
    }
}

pub(crate) async fn admin(database: &TestDatabase) -> AsyncPgConnection {
    db::connect::connect(&database.admin_url()).await.unwrap()
}

/// Writes one event about the `version`-th change of `key`; the version is its number of pieces too.
pub(crate) async fn write(connection: &mut AsyncPgConnection, key: Uuid, version: i64, topic: Option<&'static str>) -> Uuid {
    let event = placed(key, vec![item(1, u32::try_from(version).unwrap())]);
    let mut row = OutboxRow::new(key, version, event).unwrap();
    row.topic = topic.unwrap_or(row.topic);
    insert(connection, &row).await;
    row.event_id
}

pub(crate) async fn insert(connection: &mut AsyncPgConnection, row: &OutboxRow) {
    diesel::insert_into(outbox::table).values(row).execute(connection).await.unwrap();
}

pub(crate) async fn waiting(database: &TestDatabase) -> i64 {
    outbox::table.count().get_result(&mut admin(database).await).await.unwrap()
}

pub(crate) async fn emptied(database: &TestDatabase) {
    eventually("the outbox is empty", async || waiting(database).await == 0).await;
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
    #[diesel(sql_type = sql_types::Integer)]
    pid: i32,
}

/// Connections that hold leases.
async fn leaders(database: &TestDatabase) -> Vec<Backend> {
    sql_query(
        "SELECT DISTINCT application_name AS name, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND granted AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .load(&mut admin(database).await)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_keeps_its_order_over_many_batches() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut connection = admin(&database).await;
    let keys: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    for version in 1..=8 {
        for key in &keys {
            write(&mut connection, *key, version, None).await;
        }
    }
    let config = RelayConfig { batch_size: 7, ..NEVER };
    let _replica = Replica::start(&config, &topics.config(), &database.url(Role::Orders), "one");
    emptied(&database).await;
    let records = topics.reader("orders.created").take(40).await;
    assert_eq!(topics.count("orders.created").await, 40);
    for key in &keys {
        let of_key = records.iter().filter(|record| record.key_text() == Some(&key.to_string()));
        let versions: Vec<i64> = of_key
            .map(|record| serde_json::from_slice::<serde_json::Value>(&record.payload).unwrap()["aggregate_version"].as_i64().unwrap())
            .collect();
        assert_eq!(versions, (1..=8).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_carries_the_rows_trace_and_event_id() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let key = Uuid::now_v7();
    let mut row = OutboxRow::new(key, 1, placed(key, vec![item(1, 1)])).unwrap();
    row.traceparent = Some(TRACEPARENT.into());
    row.tracestate = Some("acme=1".into());
    insert(&mut admin(&database).await, &row).await;
    let _replica = Replica::start(&NEVER, &topics.config(), &database.url(Role::Orders), "one");
    let record = topics.reader("orders.created").next().await;
    assert_eq!(record.payload, row.payload.as_bytes());
    let all = headers(&record);
    assert_eq!(all["traceparent"], TRACEPARENT);
    assert_eq!(all["tracestate"], "acme=1");
    assert_eq!(all["event_id"], row.event_id.to_string());
    assert_eq!(all["content-type"], "application/json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wake_is_enough_and_so_is_a_sweep() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut connection = admin(&database).await;
    let woken = Replica::start(&NEVER, &topics.config(), &database.url(Role::Orders), "woken");
    eventually("it leads", async || !leaders(&database).await.is_empty()).await;
    write(&mut connection, Uuid::now_v7(), 1, None).await;
    woken.handle.wake();
    emptied(&database).await;
    drop(woken);
    eventually("it left", async || leaders(&database).await.is_empty()).await;
    let _sweeping = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "sweeping");
    eventually("the other leads", async || !leaders(&database).await.is_empty()).await;
    write(&mut connection, Uuid::now_v7(), 1, None).await;
    emptied(&database).await;
    assert_eq!(topics.count("orders.created").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_two_replicas_each_row_is_published_once_and_one_takes_over_from_the_other() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut connection = admin(&database).await;
    let (proxy, through_proxy) = TestProxy::for_url(&database.url(Role::Orders)).await;
    let one = Replica::start(&OFTEN, &topics.config(), &through_proxy, "one");
    eventually("one leads", async || leaders(&database).await.iter().any(|backend| backend.name == "one")).await;
    let other = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "other");
    for _ in 0..100 {
        write(&mut connection, Uuid::now_v7(), 1, None).await;
        one.handle.wake();
        other.handle.wake();
    }
    emptied(&database).await;
    assert_eq!(topics.count("orders.created").await, 100);

    proxy.cut();
    for _ in 0..20 {
        write(&mut connection, Uuid::now_v7(), 1, None).await;
    }
    emptied(&database).await;
    assert_eq!(topics.count("orders.created").await, 120);
    assert!(leaders(&database).await.iter().all(|backend| backend.name == "other"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_relay_whose_connection_is_ended_goes_on_with_another() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut connection = admin(&database).await;
    let _replica = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "one");
    eventually("it leads", async || !leaders(&database).await.is_empty()).await;
    let pid = leaders(&database).await[0].pid;
    sql_query(format!("SELECT pg_terminate_backend({pid})")).execute(&mut connection).await.unwrap();
    eventually("it leads again", async || leaders(&database).await.iter().any(|backend| backend.pid != pid)).await;
    write(&mut connection, Uuid::now_v7(), 1, None).await;
    emptied(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_broker_rows_wait_and_go_out_once_there_is_one() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let key = Uuid::now_v7();
    for version in 1..=3 {
        write(&mut admin(&database).await, key, version, None).await;
    }
    let nobody = KafkaConfig { brokers: "127.0.0.1:1".into(), delivery_timeout_ms: 100, ..topics.config() };
    let cut_off = Replica::start(&OFTEN, &nobody, &database.url(Role::Orders), "cut-off");
    eventually("it leads", async || !leaders(&database).await.is_empty()).await;
    let first = leaders(&database).await[0].pid;
    // it takes another connection after each attempt that failed
    eventually("it has failed", async || leaders(&database).await.iter().any(|backend| backend.pid != first)).await;
    assert_eq!(waiting(&database).await, 3);
    drop(cut_off);
    let _good = Replica::start(&OFTEN, &topics.config(), &database.url(Role::Orders), "good");
    emptied(&database).await;
    let records = topics.reader("orders.created").take(3).await;
    let versions: Vec<_> = records
        .iter()
        .map(|record| serde_json::from_slice::<serde_json::Value>(&record.payload).unwrap()["aggregate_version"].clone())
        .collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_replicas_take_over_from_each_other_in_the_midst_of_it_no_key_loses_its_order() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut connection = admin(&database).await;
    let (keys, versions): (Vec<Uuid>, i64) = ((0..20).map(|_| Uuid::now_v7()).collect(), 30);
    let config = RelayConfig { batch_size: 37, ..OFTEN };
    let url = database.url(Role::Orders);
    let _replicas = ["one", "other"].map(|name| Replica::start(&config, &topics.config(), &url, name));
    eventually("somebody leads", async || !leaders(&database).await.is_empty()).await;
    let mut ended = 0;
    for version in 1..=versions {
        for key in &keys {
            write(&mut connection, *key, version, None).await;
        }
        // rows are on their way now: whoever leads loses the connection that holds the leases
        if version % 5 == 0 {
            for leader in leaders(&database).await {
                sql_query(format!("SELECT pg_terminate_backend({})", leader.pid)).execute(&mut connection).await.unwrap();
                ended += 1;
            }
        }
    }
    assert!(ended >= 3, "{ended} connections were ended");
    emptied(&database).await;
    let count = usize::try_from(topics.count("orders.created").await).unwrap();
    let mut seen: std::collections::HashMap<String, i64> = std::collections::HashMap::new();
    for record in topics.reader("orders.created").take(count).await {
        let version = serde_json::from_slice::<serde_json::Value>(&record.payload).unwrap()["aggregate_version"].as_i64().unwrap();
        let last = seen.entry(record.key_text().unwrap().to_owned()).or_default();
        // a repeat of one that was on its way is allowed, a gap is not
        assert!(version <= *last + 1, "{version} comes after {last}");
        *last = version.max(*last);
    }
    assert!(seen.len() == keys.len() && seen.values().all(|last| *last == versions), "{seen:?}");
}
