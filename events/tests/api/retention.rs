//! Ids of events that cannot come again are forgotten.

use chassis::{config::Common, testing::patient_redis};
use db::{roles::Role, testing::TestDatabase};
use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;
use events::{
    analytics::{self, Config},
    testing::{TestTopics, eventually},
};
use uuid::Uuid;

use crate::running::Running;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

const OLD: &str = "INSERT INTO events.processed_events (consumer, event_id, processed_at)
    SELECT consumer, gen_random_uuid(), now() - days * interval '1 day'
    FROM (VALUES ('analytics', 61, 2500), ('analytics', 59, 7), ('notification', 61, 5)) AS old (consumer, days, rows), generate_series(1, rows)";
const LEFT: &str = "SELECT string_agg(consumer || ' ' || rows, ', ' ORDER BY consumer) AS line
    FROM (SELECT consumer, count(*) AS rows FROM events.processed_events GROUP BY consumer) AS consumers";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn analytics_forgets_its_own_old_ids_and_no_others() {
    let (database, topics) = tokio::join!(TestDatabase::create(), TestTopics::create());
    let mut admin = db::connect::connect(&database.admin_url()).await.unwrap();
    // more than are removed at once
    sql_query(OLD).execute(&mut admin).await.unwrap();
    let url = std::env::var("THROUGHLINE_TEST_REDIS_URL").expect("THROUGHLINE_TEST_REDIS_URL names a Redis for tests");
    let config = Config {
        common: Common::on_admin_port(0),
        kafka: topics.config(),
        database: database.patient(Role::Analytics),
        redis: patient_redis(url),
        leaderboard_key: format!("test:{}:leaderboard", Uuid::now_v7()),
    };
    let running = Running::start(|process| analytics::run(config, process));
    eventually("old ids are forgotten", async || {
        let mut admin = db::connect::connect(&database.admin_url()).await.unwrap();
        sql_query(LEFT).get_result::<Line>(&mut admin).await.unwrap().line == "analytics 7, notification 5"
    })
    .await;
    running.stop().await;
}
