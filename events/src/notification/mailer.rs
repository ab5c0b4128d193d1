//! How a mail leaves.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chassis::StartError;
use lettre::{AsyncFileTransport, AsyncTransport, Message, Tokio1Executor, message::Mailbox};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    config::{MailConfig, MailTransport},
    failure::Failure,
    mail,
    smtp::SmtpServer,
};
use crate::{consumer::HandleError, contract::NotificationRequested};

pub(super) struct Mailer {
    sender: Mailbox,
    transport: Transport,
    limit: Duration,
}

enum Transport {
    File(AsyncFileTransport<Tokio1Executor>),
    Smtp(SmtpServer),
}

impl Mailer {
    pub(super) fn new(config: &MailConfig) -> Result<Self, StartError> {
        let transport = match config.transport {
            MailTransport::File => Transport::File(AsyncFileTransport::new(&config.directory)),
            MailTransport::Smtp => Transport::Smtp(SmtpServer::new(config.smtp_url.expose(), config.concurrency)?),
        };
        Ok(Self { sender: config.sender.parse()?, transport, limit: config.timeout() })
    }

    /// The mail for a notice.
    pub(super) fn compose(&self, event_id: Uuid, notice: &NotificationRequested) -> Result<Message, HandleError> {
        mail::compose(&self.sender, event_id, notice)
    }

    /// Sends a mail, within `mail.timeout_ms`; `handed_over` is set from the moment on at which somebody may have it.
    pub(super) async fn send(&self, mail: &Message, handed_over: &AtomicBool) -> Result<(), Failure> {
        let sending = async {
            match &self.transport {
                Transport::Smtp(server) => server.send(mail, handed_over).await,
                Transport::File(directory) => {
                    // what was begun is written to its end, even if nobody waits for it
                    handed_over.store(true, Ordering::Release);
                    let written = directory.send_raw(mail.envelope(), &mail.formatted()).await;
                    written.map(drop).map_err(|error| Failure::Away(format!("mail.directory: {error}")))
                }
            }
        };
        let Ok(result) = timeout(self.limit, sending).await else {
            let text = format!("no answer within {} ms", self.limit.as_millis());
            return Err(if handed_over.load(Ordering::Acquire) { Failure::Uncertain(text) } else { Failure::Away(text) });
        };
        result
    }
}
