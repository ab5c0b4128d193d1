//! `notification`: a mail for each notice.

mod mail;

use chassis::{
    Process, StartError,
    config::{Common, Problems, ServiceConfig},
};
use db::pool::{DatabaseConfig, Pool};
use diesel_async::AsyncConnection;
use serde::{Deserialize, Serialize};

use crate::{
    consumer::{self, HandleError, Handled, Handler, Record},
    contract::NotificationRequested,
    effects,
    envelope::Event,
    kafka::KafkaConfig,
};
use mail::Mailer;
pub use mail::{MailConfig, MailTransport};

/// Consumer group, and name of the service.
pub const NAME: &str = "notification";

/// Configuration of `notification`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have.
    #[serde(flatten)]
    pub common: Common,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Postgres.
    pub database: DatabaseConfig,
    /// How mail goes out.
    pub mail: MailConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9105),
            kafka: KafkaConfig::default(),
            database: DatabaseConfig::default(),
            mail: MailConfig::default(),
        }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.kafka.check(problems);
        self.database.check(problems);
        self.mail.check(problems);
    }
}

/// Reads the notices until the process stops.
///
/// # Errors
/// Where the mail transport cannot be made or librdkafka refuses the settings.
pub async fn run(config: Config, process: Process) -> Result<(), StartError> {
    let handler = Notification { pool: Pool::new(&config.database, NAME, &process)?, mailer: Mailer::new(&config.mail)? };
    consumer::run(&config.kafka, NAME, &[NotificationRequested::TOPIC], handler, &process).await
}

struct Notification {
    pool: Pool,
    mailer: Mailer,
}

impl Handler for Notification {
    async fn handle(&self, record: &Record) -> Result<Handled, HandleError> {
        let event = record.decode::<NotificationRequested>()?;
        let mail = mail::compose(&self.mailer.sender, event.event_id, &event.data)?;
        let mut connection = self.pool.get().await?;
        // the mail goes out between claim and commit: a crash there repeats the mail, under the same Message-ID
        connection
            .transaction(async |connection| {
                if !effects::claim(connection, NAME, event.event_id).await? {
                    return Ok(Handled::Before);
                }
                self.mailer.send(mail).await?;
                Ok(Handled::Now)
            })
            .await
    }
}
