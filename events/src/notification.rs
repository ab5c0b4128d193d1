//! `notification`: a mail for each notice.
//!
//! A notice becomes a row of `events.mail_outbox`, in the transaction that keeps its event's id; the sender takes the rows and
//! sends. Between the server's taking of a mail and the note that it did lies the only moment whose end can be unknown: then the
//! mail is sent once more, under the same Message-ID, and never a third time.

mod config;
mod delivery;
mod failure;
mod gate;
mod mail;
mod mailer;
mod metrics;
mod original;
mod sender;
mod smtp;
mod store;
mod verdict;

use std::{sync::Arc, time::Duration};

use chassis::{
    Process, StartError,
    config::{Common, Problems, ServiceConfig},
};
use db::pool::{DatabaseConfig, Pool};
use diesel_async::AsyncConnection;
use futures::FutureExt;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use tokio::{join, sync::Notify};

use crate::{
    consumer::{self, HandleError, Handled, Handler, Record},
    contract::NotificationRequested,
    effects,
    envelope::Event,
    kafka::KafkaConfig,
    retention,
};
pub use config::{MailConfig, MailTransport};
use metrics::Depth;
use sender::Sender;
use store::Original;

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
        self.mail.check_claim(self.kafka.delivery_timeout_ms, problems);
    }
}

/// Reads the notices and sends the mails until the process stops.
///
/// # Errors
/// Where the mail transport cannot be made or librdkafka refuses the settings.
pub async fn run(config: Config, process: Process) -> Result<(), StartError> {
    let pool = Pool::new(&config.database, NAME, &process)?;
    let wake = Arc::new(Notify::new());
    let sender = Sender::new(&config, pool.clone(), Arc::clone(&wake), &process)?;
    let depth = Depth::new(Duration::from_millis(config.mail.depth_interval_ms), config.mail.max_pending);
    depth.watch(pool.clone(), &process);
    clean_up(&config.mail, &pool, &process);
    let handler = Notification { pool, from: config.mail.sender.parse()?, depth, wake };
    let reading = async {
        let ended = consumer::run(&config.kafka, NAME, &[NotificationRequested::TOPIC], handler, &process).await;
        // where reading fails, sending ends too
        process.shutdown.cancel();
        ended
    };
    let (ended, ()) = join!(reading, sender.run());
    ended
}

/// Removes what ended long ago: mails, and the ids of events.
fn clean_up(config: &MailConfig, pool: &Pool, process: &Process) {
    let sent = Duration::from_hours(config.keep_sent_hours.into());
    retention::watch(pool.clone(), process, move |connection| {
        store::remove_ended(connection, sent, retention::IDS_KEPT, retention::CHUNK).boxed()
    });
    retention::forget_ids(pool.clone(), NAME, process);
}

struct Notification {
    pool: Pool,
    from: Mailbox,
    depth: Depth,
    wake: Arc<Notify>,
}

impl Handler for Notification {
    async fn handle(&self, record: &Record) -> Result<Handled, HandleError> {
        let event = record.decode::<NotificationRequested>()?;
        // what can never be a mail is told before it is written down
        drop(mail::compose(&self.from, event.event_id, &event.data)?);
        let place = self.depth.place().ok_or_else(|| HandleError::unavailable("mail.max_pending mails wait to be sent"))?;
        let handled = self.pool.bounded(self.keep(&Original::of(record, event.event_id)?)).await?;
        if handled == Handled::Now {
            place.take();
            self.wake.notify_one();
        }
        Ok(handled)
    }
}

impl Notification {
    /// Takes the event and writes its mail down, or does neither.
    async fn keep(&self, original: &Original<'_>) -> Result<Handled, HandleError> {
        let mut connection = self.pool.get().await?;
        connection
            .transaction(async |connection| {
                let waits = if effects::claim(connection, NAME, original.event_id).await? {
                    store::add(connection, original).await?
                } else {
                    store::revive(connection, NAME, original).await?
                };
                Ok(if waits { Handled::Now } else { Handled::Before })
            })
            .await
    }
}
