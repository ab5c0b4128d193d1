//! `notification` with a database, topics and an SMTP server of its own.

use chassis::config::{Common, Secret};
use db::{roles::Role, testing::TestDatabase};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;
use events::{
    contract::NotificationRequested,
    envelope::Envelope,
    kafka::KafkaConfig,
    notification::{self, Config, MailConfig, MailTransport},
    testing::{TestTopics, eventually},
};

use crate::{running::Running, sample::json, smtp::SmtpServer};

pub(crate) struct Postbox {
    pub(crate) database: TestDatabase,
    pub(crate) topics: TestTopics,
    pub(crate) server: SmtpServer,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Postbox {
    pub(crate) async fn create() -> Self {
        let (database, topics, server) = tokio::join!(TestDatabase::create(), TestTopics::create(), SmtpServer::start());
        Self { database, topics, server }
    }

    /// Settings for its SMTP server.
    pub(crate) fn mail(&self) -> MailConfig {
        let smtp_url = Secret::new(self.server.url());
        MailConfig { transport: MailTransport::Smtp, smtp_url, sweep_interval_ms: 20, depth_interval_ms: 20, ..MailConfig::default() }
    }

    pub(crate) fn config(&self, mail: MailConfig) -> Config {
        Config {
            common: Common::on_admin_port(0),
            kafka: KafkaConfig { retry_delays_ms: vec![1, 2, 3], ..self.topics.config() },
            database: self.database.patient(Role::Notification),
            mail,
        }
    }

    pub(crate) fn start(&self) -> Running {
        start(self.config(self.mail()))
    }

    pub(crate) async fn tell(&self, key: &str, event: &Envelope<NotificationRequested>) {
        self.topics.send("notifications", key, json(event), &[]).await;
    }

    pub(crate) async fn ask(&self, question: &str) -> i64 {
        let mut connection = db::connect::connect(&self.database.admin_url()).await.unwrap();
        sql_query(question).get_result::<Count>(&mut connection).await.unwrap().count
    }

    pub(crate) async fn execute(&self, statement: &str) -> usize {
        let mut connection = db::connect::connect(&self.database.admin_url()).await.unwrap();
        sql_query(statement).execute(&mut connection).await.unwrap()
    }

    /// Events whose ids are kept.
    pub(crate) async fn processed(&self) -> i64 {
        self.ask("SELECT count(*) FROM events.processed_events WHERE consumer = 'notification'").await
    }

    /// How many mails are in which state, such as `failed 1, sent 2`.
    pub(crate) async fn states(&self) -> String {
        let mut connection = db::connect::connect(&self.database.admin_url()).await.unwrap();
        let question = "SELECT coalesce(string_agg(state || ' ' || rows, ', ' ORDER BY state), '') AS line
            FROM (SELECT state, count(*) AS rows FROM events.mail_outbox GROUP BY state) AS states";
        sql_query(question).get_result::<Line>(&mut connection).await.unwrap().line
    }

    /// Waits until the outbox is so.
    pub(crate) async fn becomes(&self, states: &str) {
        eventually(&format!("the outbox becomes: {states}"), async || self.states().await == states).await;
    }

    /// As if the time of all claims was over: that of a process that was killed.
    pub(crate) async fn claims_run_out(&self) {
        assert!(
            self.execute("UPDATE events.mail_outbox SET due_at = now() WHERE state = 'sending'").await > 0,
            "nobody has claimed a mail"
        );
    }
}

pub(crate) fn start(config: Config) -> Running {
    Running::start(|process| notification::run(config, process))
}

pub(crate) fn message_id(event: &Envelope<NotificationRequested>) -> String {
    format!("Message-ID: <{}@throughline>", event.event_id)
}

pub(crate) fn sendings(running: &Running, result: &str) -> Option<f64> {
    running.metric(&format!("throughline_mails_total{{result=\"{result}\"}}"))
}
