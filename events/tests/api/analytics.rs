//! `analytics`: rollups in Postgres and the best-seller list in Redis, exact whatever comes twice.

use std::collections::BTreeMap;

use bb8_redis::redis::AsyncCommands;
use chassis::{
    config::{Common, Secret},
    redis::Redis,
    testing::{TestProxy, patient_redis},
};
use chrono::NaiveDate;
use db::{
    pool::DatabaseConfig,
    roles::Role,
    schema::events::{daily_orders, daily_users, processed_events, product_sales},
    testing::TestDatabase,
};
use diesel::QueryDsl;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use events::{
    analytics::{self, Config, NAME},
    contract::{OrderChange, OrderRecorded, UserCreated, UserDeleted, UserLoggedIn, UserLoggedOut, UserUpdated},
    envelope::{Envelope, Event},
    testing::{TestTopics, eventually},
};
use futures::future::join_all;
use rust_decimal::{Decimal, dec};
use uuid::Uuid;

use crate::{
    running::Running,
    sample::{fact, item, json, noon},
};

struct Analytics {
    database: TestDatabase,
    topics: TestTopics,
    redis: Redis,
    key: String,
    config: Config,
    running: Running,
}

impl Analytics {
    async fn start() -> Self {
        let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
        let settings = database.patient(Role::Analytics);
        Self::start_on(database, topics, settings)
    }

    fn start_on(database: TestDatabase, topics: TestTopics, settings: DatabaseConfig) -> Self {
        let url = std::env::var("THROUGHLINE_TEST_REDIS_URL").expect("THROUGHLINE_TEST_REDIS_URL names a Redis for tests");
        let redis = patient_redis(url);
        let key = format!("test:{}:leaderboard", Uuid::now_v7());
        let config = Config {
            common: Common::on_admin_port(0),
            kafka: topics.config(),
            database: settings,
            redis: redis.clone(),
            leaderboard_key: key.clone(),
        };
        let running = Self::member(&config);
        Self { database, topics, redis: Redis::new(&redis, "test", &chassis::Process::default()).unwrap(), key, config, running }
    }

    fn member(config: &Config) -> Running {
        let config = config.clone();
        Running::start(|process| analytics::run(config, process))
    }

    /// Kills the one that is running, and starts another.
    async fn restart(&mut self) {
        std::mem::replace(&mut self.running, Self::member(&self.config)).kill().await;
    }

    async fn processed(&self) -> i64 {
        processed_events::table.count().get_result(&mut self.connection().await).await.unwrap()
    }

    fn outcome(&self, topic: &str, outcome: &str) -> Option<f64> {
        let topic = self.topics.config().named(topic);
        let labels = format!("messaging_consumer_group_name=\"{NAME}\",messaging_destination_name=\"{topic}\",outcome=\"{outcome}\"");
        self.running.metric(&format!("throughline_consumer_records_total{{{labels}}}"))
    }

    async fn tell<T: Event>(&self, event: &Envelope<T>, key: &str) {
        self.topics.send(T::TOPIC, key, json(event), &[]).await;
    }

    async fn tell_fact(&self, event: &Envelope<OrderRecorded>) {
        self.tell(event, &event.aggregate_id.to_string()).await;
    }

    async fn drained(&self) {
        self.topics.drained(NAME, "analytics").await;
        self.topics.drained(NAME, "user-events").await;
        assert_eq!(self.topics.count("dlq").await, 0);
    }

    async fn connection(&self) -> AsyncPgConnection {
        db::connect::connect(&self.database.admin_url()).await.unwrap()
    }

    async fn days(&self) -> Vec<(NaiveDate, String, i64, i64, Decimal)> {
        daily_orders::table.order((daily_orders::day, daily_orders::currency)).load(&mut self.connection().await).await.unwrap()
    }

    /// Units by product, which Postgres and Redis have to agree on.
    async fn sales(&self) -> BTreeMap<Uuid, i64> {
        let rows: Vec<(Uuid, i64)> = product_sales::table.load(&mut self.connection().await).await.unwrap();
        let mut redis = self.redis.connection().await.unwrap();
        let scores: Vec<(String, i64)> = redis.zrange_withscores(&self.key, 0, -1).await.unwrap();
        let scores: BTreeMap<Uuid, i64> = scores.into_iter().map(|(id, units)| (id.parse().unwrap(), units)).collect();
        let sales = rows.into_iter().collect();
        assert_eq!(scores, sales, "the leaderboard is not that of Postgres");
        sales
    }

    async fn finish(self) {
        let _: () = self.redis.connection().await.unwrap().del(&self.key).await.unwrap();
        self.running.stop().await;
    }
}

fn units<const N: usize>(of: [(u128, i64); N]) -> BTreeMap<Uuid, i64> {
    of.into_iter().map(|(product, units)| (Uuid::from_u128(product), units)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rollups_and_leaderboard_are_exact_after_repeats_and_cancelled_orders() {
    let analytics = Analytics::start().await;
    let one = fact(OrderChange::Placed, vec![item(1, 2), item(2, 3)]);
    // a product on two lines is one product
    let two = fact(OrderChange::Placed, vec![item(1, 1), item(3, 1), item(1, 4)]);
    let gone = one.derive(OrderRecorded { change: OrderChange::Cancelled, ..one.data.clone() });
    for _ in 0..3 {
        for event in [&one, &two, &gone] {
            analytics.tell_fact(event).await;
        }
    }
    analytics.drained().await;
    assert_eq!(analytics.days().await, [(noon().date_naive(), "EUR".into(), 2, 1, dec!(59.40))]);
    assert_eq!(analytics.sales().await, units([(1, 5), (2, 0), (3, 1)]));
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn days_and_currencies_are_apart() {
    let analytics = Analytics::start().await;
    for (placed_at, currency) in [("2026-03-05T23:59:59Z", "EUR"), ("2026-03-06T00:00:00Z", "EUR"), ("2026-03-06T01:00:00+02:00", "USD")] {
        let mut event = fact(OrderChange::Placed, vec![item(1, 1)]);
        event.data.placed_at = placed_at.parse().unwrap();
        event.data.currency = currency.into();
        analytics.tell_fact(&event).await;
    }
    analytics.drained().await;
    let (fifth, sixth) = (NaiveDate::from_ymd_opt(2026, 3, 5).unwrap(), NaiveDate::from_ymd_opt(2026, 3, 6).unwrap());
    let row = |day, currency: &str| (day, currency.to_owned(), 1, 0, dec!(9.90));
    assert_eq!(analytics.days().await, [row(fifth, "EUR"), row(fifth, "USD"), row(sixth, "EUR")]);
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_changes_no_sale_changes_no_number() {
    let analytics = Analytics::start().await;
    analytics.tell_fact(&fact(OrderChange::Updated, vec![item(1, 2)])).await;
    analytics.tell_fact(&fact(OrderChange::Placed, Vec::new())).await;
    analytics.drained().await;
    assert_eq!(analytics.sales().await, units([]));
    assert_eq!(analytics.days().await, [(noon().date_naive(), "EUR".into(), 1, 0, dec!(0))]);
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_hundred_facts_on_the_same_products_at_once_are_all_counted() {
    let analytics = Analytics::start().await;
    let events: Vec<_> = (0..200)
        .map(|number| {
            let mut items = vec![item(1, 1), item(2, 2), item(3, 3)];
            // each in another order
            items.rotate_left(number % 3);
            fact(OrderChange::Placed, items)
        })
        .collect();
    // twice, the repeats on keys of their own, so that they meet the originals in other partitions
    let sends = events.iter().map(|event| async {
        analytics.tell_fact(event).await;
        analytics.tell(event, &event.event_id.to_string()).await;
    });
    join_all(sends).await;
    analytics.drained().await;
    assert_eq!(analytics.sales().await, units([(1, 200), (2, 400), (3, 600)]));
    assert_eq!(analytics.days().await, [(noon().date_naive(), "EUR".into(), 200, 0, dec!(11880))]);
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn registrations_and_logins_are_counted_by_day() {
    let analytics = Analytics::start().await;
    let user_id = Uuid::now_v7();
    let created = UserCreated { user_id, username: "ada".into(), email: "ada@example.com".into(), timestamp: noon() };
    let created = Envelope::new(user_id, 1, created);
    for _ in 0..2 {
        analytics.tell(&created, &user_id.to_string()).await;
    }
    for _ in 0..3 {
        let login = Envelope::new(user_id, 1, UserLoggedIn { user_id, session_id: Uuid::now_v7(), timestamp: noon() });
        analytics.tell(&login, &user_id.to_string()).await;
        analytics.tell(&login, &user_id.to_string()).await;
    }
    analytics.drained().await;
    let days: Vec<(NaiveDate, i64, i64)> = daily_users::table.load(&mut analytics.connection().await).await.unwrap();
    assert_eq!(days, [(noon().date_naive(), 1, 3)]);
    let topic = analytics.topics.config().named("user-events");
    let labels = format!("messaging_consumer_group_name=\"{NAME}\",messaging_destination_name=\"{topic}\"");
    assert_eq!(analytics.running.metric(&format!("throughline_consumer_duplicates_total{{{labels}}}")), Some(4.0));
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn changes_of_accounts_and_ends_of_sessions_are_known_and_count_nothing() {
    let analytics = Analytics::start().await;
    let (user_id, timestamp) = (Uuid::now_v7(), noon());
    let changed = UserUpdated { user_id, username: "ada".into(), email: "ada@example.com".into(), role: "admin".into(), timestamp };
    analytics.tell(&Envelope::new(user_id, 2, changed), "k").await;
    analytics.tell(&Envelope::new(user_id, 2, UserLoggedOut { user_id, session_id: Uuid::now_v7(), timestamp }), "k").await;
    analytics.tell(&Envelope::new(user_id, 3, UserDeleted { user_id, timestamp }), "k").await;
    analytics.drained().await;
    let days: Vec<(NaiveDate, i64, i64)> = daily_users::table.load(&mut analytics.connection().await).await.unwrap();
    assert_eq!(days, []);
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_again_and_again_in_the_midst_of_its_work_it_counts_everything_once() {
    let mut analytics = Analytics::start().await;
    let events: Vec<_> = (0..300).map(|_| fact(OrderChange::Placed, vec![item(1, 1), item(2, 2)])).collect();
    join_all(events.iter().map(|event| analytics.tell_fact(event))).await;
    for least in [30, 90, 150] {
        eventually("it is at work", async || analytics.processed().await >= least).await;
        analytics.restart().await;
    }
    assert!(analytics.processed().await < 300, "everything was done before the last restart");
    analytics.drained().await;
    assert_eq!(analytics.processed().await, 300);
    assert_eq!(analytics.sales().await, units([(1, 300), (2, 600)]));
    assert_eq!(analytics.days().await, [(noon().date_naive(), "EUR".into(), 300, 0, dec!(8910))]);
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_postgres_that_hangs_does_not_hang_it() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let (proxy, url) = TestProxy::for_url(&database.url(Role::Analytics)).await;
    let settings = DatabaseConfig { url: Secret::new(url), work_timeout_ms: 500, ..database.patient(Role::Analytics) };
    let analytics = Analytics::start_on(database, topics, settings);
    analytics.tell_fact(&fact(OrderChange::Placed, vec![item(1, 1)])).await;
    analytics.drained().await;
    proxy.freeze();
    analytics.tell_fact(&fact(OrderChange::Placed, vec![item(1, 2)])).await;
    eventually("it is tried again and again", async || analytics.outcome("analytics", "postponed") >= Some(2.0)).await;
    proxy.heal();
    analytics.drained().await;
    assert_eq!(analytics.sales().await, units([(1, 3)]));
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_event_of_a_type_to_come_is_passed_over_and_counted_and_a_fact_of_no_type_is_buried() {
    let analytics = Analytics::start().await;
    let (user_id, timestamp) = (Uuid::now_v7(), noon());
    let login = |version| Envelope::new(user_id, version, UserLoggedIn { user_id, session_id: user_id, timestamp });
    let to_come = json(&login(1)).replace("UserLoggedIn", "UserInvited").replace("\"session_id\"", "\"invited_by\"");
    analytics.topics.send("user-events", "k", &to_come, &[]).await;
    analytics.tell(&login(2), "k").await;
    analytics.drained().await;
    let days: Vec<(NaiveDate, i64, i64)> = daily_users::table.load(&mut analytics.connection().await).await.unwrap();
    assert_eq!(days, [(noon().date_naive(), 0, 1)]);
    assert_eq!((analytics.outcome("user-events", "ignored"), analytics.outcome("user-events", "processed")), (Some(1.0), Some(1.0)));

    let misspelt = json(&fact(OrderChange::Placed, vec![item(1, 1)])).replace("OrderRecorded", "OrderRecordet");
    analytics.topics.send("analytics", "k", misspelt, &[]).await;
    analytics.topics.drained(NAME, "analytics").await;
    assert_eq!((analytics.topics.count("dlq").await, analytics.outcome("analytics", "ignored")), (1, Some(0.0)));
    analytics.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn more_records_at_once_than_connections_wait_for_their_turn_and_do_not_take_postgres_for_away() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    // shorter than the whole work takes, and far longer than one record does
    let settings = DatabaseConfig { pool_size: 2, acquire_timeout_ms: 100, ..database.patient(Role::Analytics) };
    let analytics = Analytics::start_on(database, topics, settings);
    let facts: Vec<_> = (0..300).map(|_| fact(OrderChange::Placed, vec![item(1, 1)])).collect();
    join_all(facts.iter().map(|event| analytics.tell_fact(event))).await;
    analytics.drained().await;
    let outcome = |outcome| analytics.outcome("analytics", outcome);
    assert_eq!((outcome("processed"), outcome("postponed").unwrap_or(0.0)), (Some(300.0), 0.0));
    analytics.finish().await;
}
