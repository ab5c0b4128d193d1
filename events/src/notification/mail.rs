//! Mail: its text, and how it leaves. RFC 5322.

use std::{path::PathBuf, time::Duration};

use chassis::{
    StartError,
    config::{Problems, Secret},
};
use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::Error as SmtpError,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    consumer::HandleError,
    contract::{Item, NotificationRequested, OrderChange},
};

/// Where mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// A file a mail, `mail.directory/*.eml`.
    File,
    /// An SMTP server, `mail.smtp_url`.
    Smtp,
}

/// The `mail` table of `notification`'s configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `file` or `smtp`.
    pub transport: MailTransport,
    /// For `file`: an existing directory.
    pub directory: PathBuf,
    /// For `smtp`: `smtp://[USER:PASSWORD@]HOST:PORT`, or `smtps://` for TLS.
    pub smtp_url: Secret,
    /// `From:`
    pub sender: String,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            transport: MailTransport::File,
            directory: ".mesh/mail".into(),
            smtp_url: Secret::default(),
            sender: "Throughline <orders@throughline.test>".into(),
        }
    }
}

impl MailConfig {
    /// See [`chassis::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        if self.sender.parse::<Mailbox>().is_err() {
            problems.add("mail.sender", &self.sender, "NAME <ADDRESS>");
        }
        match self.transport {
            MailTransport::File if !self.directory.is_dir() => problems.add("mail.directory", &self.directory, "an existing directory"),
            MailTransport::Smtp if AsyncSmtpTransport::<Tokio1Executor>::from_url(self.smtp_url.expose()).is_err() => {
                problems.add("mail.smtp_url", &self.smtp_url, "smtp://[USER:PASSWORD@]HOST:PORT");
            }
            _ => {}
        }
    }
}

/// What one mail may take. Less than `database.idle_in_transaction_timeout_ms`: the transaction of the claim is open
/// meanwhile, and if it were ended for that the mail would go out again.
const SMTP_LIMIT: Duration = Duration::from_secs(8);

pub(super) struct Mailer {
    pub(super) sender: Mailbox,
    transport: Transport,
}

enum Transport {
    File(AsyncFileTransport<Tokio1Executor>),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

impl Mailer {
    pub(super) fn new(config: &MailConfig) -> Result<Self, StartError> {
        let transport = match config.transport {
            MailTransport::File => Transport::File(AsyncFileTransport::new(&config.directory)),
            MailTransport::Smtp => Transport::Smtp(AsyncSmtpTransport::<Tokio1Executor>::from_url(config.smtp_url.expose())?.build()),
        };
        Ok(Self { sender: config.sender.parse()?, transport })
    }

    pub(super) async fn send(&self, mail: Message) -> Result<(), HandleError> {
        match &self.transport {
            Transport::File(directory) => {
                directory.send(mail).await.map(drop).map_err(|error| HandleError::Unavailable(format!("mail.directory: {error}")))
            }
            Transport::Smtp(server) => {
                let ascii = mail.envelope().to().iter().all(|address| AsRef::<str>::as_ref(address).is_ascii());
                match timeout(SMTP_LIMIT, server.send(mail)).await {
                    Ok(result) => result.map(drop).map_err(|error| refused(&error, ascii)),
                    Err(_) => Err(HandleError::Unavailable(format!("smtp: no answer within {} s", SMTP_LIMIT.as_secs()))),
                }
            }
        }
    }
}

/// Tells a mail that the server does not want from a server that wants none. RFC 5321, 4.2; RFC 4954, 6.
fn refused(error: &SmtpError, ascii: bool) -> HandleError {
    let text = format!("smtp: {error}");
    match error.status().map(u16::from) {
        // it goes away, or does not want us: no mail is to blame
        Some(421 | 530 | 534 | 535 | 538) => HandleError::Unavailable(text),
        Some(500..) => HandleError::Permanent(text),
        Some(_) => HandleError::Transient(text),
        // the server does not speak SMTPUTF8, and will not learn it
        None if error.is_client() && !ascii => HandleError::Permanent(text),
        None => HandleError::Unavailable(text),
    }
}

/// The mail for a notice. Its Message-ID is the event's id: a repeat can be told by it.
pub(super) fn compose(sender: &Mailbox, event_id: Uuid, notice: &NotificationRequested) -> Result<Message, HandleError> {
    let wrong = |error: &dyn std::fmt::Display| HandleError::Permanent(format!("no mail can be made of it: {error}"));
    let address = notice.email.parse().map_err(|error| wrong(&error))?;
    Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(Some(notice.username.clone()), address))
        .subject(subject(notice))
        .message_id(Some(format!("<{event_id}@throughline>")))
        .header(ContentType::TEXT_PLAIN)
        .body(body(notice))
        .map_err(|error| wrong(&error))
}

fn subject(notice: &NotificationRequested) -> String {
    let order = notice.order_id;
    match notice.change {
        OrderChange::Placed => format!("Your order {order}"),
        OrderChange::Updated => format!("Your order {order} is {}", notice.status.as_deref().unwrap_or("changed")),
        OrderChange::Cancelled => format!("Your order {order} was cancelled"),
    }
}

fn body(notice: &NotificationRequested) -> String {
    let mut lines = vec![format!("Hello {},", notice.username), String::new(), format!("{}.", subject(notice)), String::new()];
    let item = |item: &Item| format!("{:>5} x {} at {} {}", item.quantity, item.product_name, item.unit_price, notice.currency);
    lines.extend(notice.items.iter().map(item));
    if let Some(total) = notice.total_amount {
        lines.extend([String::new(), format!("Total: {total} {}", notice.currency)]);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn a_mail_names_lines_and_total_and_carries_the_events_id() {
        let item = Item { product_id: Uuid::nil(), product_name: "Tea pot".into(), quantity: 2, unit_price: dec!(19.90) };
        let notice = NotificationRequested {
            change: OrderChange::Placed,
            order_id: Uuid::nil(),
            username: "Ada".into(),
            email: "ada@example.com".into(),
            status: None,
            items: vec![item],
            total_amount: Some(dec!(39.80)),
            currency: "EUR".into(),
        };
        let sender = MailConfig::default().sender.parse().unwrap();
        let mail = String::from_utf8(compose(&sender, Uuid::max(), &notice).unwrap().formatted()).unwrap();
        for part in ["To: Ada <ada@example.com>", "2 x Tea pot at 19.90 EUR", "Total: 39.80 EUR", "ffffffffffff@throughline"] {
            assert!(mail.contains(part), "{part} is not in {mail}");
        }
    }
}
