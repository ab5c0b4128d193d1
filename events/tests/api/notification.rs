//! `notification`: one mail for each notice.

use std::path::Path;

use chassis::config::{Common, Secret};
use db::{roles::Role, testing::TestDatabase};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use events::{
    contract::NotificationRequested,
    envelope::Envelope,
    kafka::KafkaConfig,
    notification::{self, Config, MailConfig, MailTransport, NAME},
    testing::{TestTopics, eventually},
};
use tempfile::TempDir;

use crate::{
    running::Running,
    sample::{headers, json, notice},
    smtp::SmtpServer,
};

fn start(topics: &TestTopics, database: &TestDatabase, mail: MailConfig) -> Running {
    let config = Config {
        common: Common::on_admin_port(0),
        kafka: KafkaConfig { retry_delays_ms: vec![1, 2, 3], ..topics.config() },
        database: database.patient(Role::Notification),
        mail,
    };
    Running::start(|process| notification::run(config, process))
}

fn by_smtp(server: &SmtpServer) -> MailConfig {
    MailConfig { transport: MailTransport::Smtp, smtp_url: Secret::new(server.url()), ..MailConfig::default() }
}

fn by_file(directory: &TempDir) -> MailConfig {
    MailConfig { directory: directory.path().into(), ..MailConfig::default() }
}

async fn tell(topics: &TestTopics, key: &str, event: &Envelope<NotificationRequested>) {
    topics.send("notifications", key, json(event), &[]).await;
}

fn files(directory: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn message_id(event: &Envelope<NotificationRequested>) -> String {
    format!("Message-ID: <{}@throughline>", event.event_id)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn ask(database: &TestDatabase, question: &str) -> i64 {
    let mut connection = db::connect::connect(&database.admin_url()).await.unwrap();
    sql_query(question).get_result::<Count>(&mut connection).await.unwrap().count
}

async fn processed(database: &TestDatabase) -> i64 {
    ask(database, "SELECT count(*) FROM events.processed_events WHERE consumer = 'notification'").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_is_one_mail_however_often_and_concurrently_it_comes() {
    let (database, topics, directory) = (TestDatabase::create().await, TestTopics::create().await, TempDir::new().unwrap());
    let (often, once) = (notice("ada@example.com"), notice("bob@example.com"));
    // different keys, so that they are handled at the same time
    for key in ["1", "2", "3", "4", "5", "6"] {
        tell(&topics, key, &often).await;
    }
    tell(&topics, "7", &once).await;
    let running = start(&topics, &database, by_file(&directory));
    topics.drained(NAME, "notifications").await;
    tell(&topics, "1", &often).await;
    topics.drained(NAME, "notifications").await;
    let mails = files(directory.path());
    assert_eq!(mails.len(), 2);
    let mail = mails.iter().find(|mail| mail.contains(&message_id(&often))).unwrap();
    for part in ["To: Ada <ada@example.com>", &often.data.order_id.to_string(), "2 x Pot 1 at 9.90 EUR", "Total: 19.80 EUR"] {
        assert!(mail.contains(part), "{part} is not in {mail}");
    }
    assert!(mails.iter().any(|mail| mail.contains(&message_id(&once))));
    assert_eq!((processed(&database).await, topics.count("dlq").await), (2, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mail_goes_over_smtp_once_and_what_the_server_refuses_for_good_is_a_dead_letter() {
    let (database, topics, server) = (TestDatabase::create().await, TestTopics::create().await, SmtpServer::start().await);
    server.refuse("RCPT TO:<nobody@", "550 5.1.1 no such user");
    let (good, bad, foreign) = (notice("ada@example.com"), notice("nobody@example.com"), notice("jürgen@example.com"));
    let broken = notice("not an address");
    for event in [&good, &bad, &good, &foreign, &broken] {
        tell(&topics, &event.aggregate_id.to_string(), event).await;
    }
    let running = start(&topics, &database, by_smtp(&server));
    topics.drained(NAME, "notifications").await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains(&message_id(&good)), "{}", mails[0]);
    assert_eq!(processed(&database).await, 1, "what was refused is not marked as done");
    let letters = topics.reader("dlq").take(3).await;
    for letter in &letters {
        assert_eq!((headers(letter)["dlq.error.type"].as_str(), headers(letter)["dlq.attempts"].as_str()), ("permanent", "1"));
    }
    let refused = letters.iter().find(|letter| letter.key == Some(bad.aggregate_id.to_string())).unwrap();
    assert!(headers(refused)["dlq.reason"].contains("no such user"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_for_now_is_repeated_and_blames_the_mail_and_not_the_server() {
    let (database, topics, server) = (TestDatabase::create().await, TestTopics::create().await, SmtpServer::start().await);
    server.refuse("RCPT TO:<full@", "452 4.2.2 mailbox full");
    let (full, good) = (notice("full@example.com"), notice("ada@example.com"));
    tell(&topics, "full", &full).await;
    tell(&topics, "good", &good).await;
    let running = start(&topics, &database, by_smtp(&server));
    topics.drained(NAME, "notifications").await;
    assert_eq!((server.mails().len(), server.refused()), (1, 4));
    let all = headers(&topics.reader("dlq").next().await);
    assert_eq!((all["dlq.error.type"].as_str(), all["dlq.attempts"].as_str()), ("transient", "4"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mail_waits_for_a_server_that_is_away_or_does_not_want_us() {
    let (database, topics, server) = (TestDatabase::create().await, TestTopics::create().await, SmtpServer::start().await);
    let event = notice("ada@example.com");
    let config = by_smtp(&server);
    let address = server.stop().await;
    tell(&topics, "k", &event).await;
    let running = start(&topics, &database, config);
    let rolled_back = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'notification' AND state = 'idle' AND query = 'ROLLBACK'";
    eventually("an attempt was refused", async || ask(&database, rolled_back).await > 0).await;
    let server = SmtpServer::on(address).await;
    server.refuse("MAIL FROM", "421 4.3.2 shutting down");
    eventually("it is told to come again", async || server.refused() >= 2).await;
    assert_eq!((topics.committed(NAME, "notifications").await[&0], topics.count("dlq").await), (0, 0));
    server.relent();
    topics.drained(NAME, "notifications").await;
    assert_eq!((server.mails().len(), topics.count("dlq").await), (1, 0));
    running.stop().await;
}
