//! The `mail` table of `notification`'s configuration.

use std::{path::PathBuf, time::Duration};

use chassis::config::{Problems, Secret};
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::smtp::SmtpServer;

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
    /// For `smtp`: `smtp://[USER:PASSWORD@]HOST:PORT[/EHLO-NAME]`, with `?tls=required` for STARTTLS, or `smtps://`.
    pub smtp_url: Secret,
    /// `From:`
    pub sender: String,
    /// Mails that are on their way at the same time; as many connections are kept to the server.
    pub concurrency: usize,
    /// Milliseconds that one mail may take, from connecting to the server's last word.
    pub timeout_ms: u64,
    /// Milliseconds after which a mail that is still being sent was left behind by a crash and is sent once more. A mail and its
    /// dead letter must not take longer.
    pub claim_ms: u64,
    /// Milliseconds between looks for mails that nobody announced: those of a crash, or of another replica.
    pub sweep_interval_ms: u64,
    /// Milliseconds between looks at how many mails wait.
    pub depth_interval_ms: u64,
    /// Mails that may wait. While there are more no notice is read.
    pub max_pending: u32,
    /// Hours for which a mail that was sent is kept.
    pub keep_sent_hours: u32,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            transport: MailTransport::File,
            directory: ".mesh/mail".into(),
            smtp_url: Secret::default(),
            sender: "Throughline <orders@throughline.test>".into(),
            concurrency: 8,
            timeout_ms: 8_000,
            claim_ms: 45_000,
            sweep_interval_ms: 1_000,
            depth_interval_ms: 5_000,
            max_pending: 10_000,
            keep_sent_hours: 7 * 24,
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
            MailTransport::Smtp if SmtpServer::new(self.smtp_url.expose(), 0).is_err() => {
                problems.add("mail.smtp_url", &self.smtp_url, "smtp://[USER:PASSWORD@]HOST:PORT");
            }
            _ => {}
        }
        self.check_numbers(problems);
    }

    fn check_numbers(&self, problems: &mut Problems) {
        if !(1..=200).contains(&self.concurrency) {
            problems.add("mail.concurrency", &self.concurrency, "1 to 200");
        }
        if !(100..=300_000).contains(&self.timeout_ms) {
            problems.add("mail.timeout_ms", &self.timeout_ms, "100 to 300000");
        }
        for (key, value) in [("mail.sweep_interval_ms", self.sweep_interval_ms), ("mail.depth_interval_ms", self.depth_interval_ms)] {
            if !(10..=3_600_000).contains(&value) {
                problems.add(key, &value, "10 to 3600000");
            }
        }
        if self.max_pending == 0 {
            problems.add("mail.max_pending", &self.max_pending, "at least 1");
        }
    }

    /// A claim has to outlast what is done under it: else two would work on one mail.
    pub(super) fn check_claim(&self, delivery_timeout_ms: u64, problems: &mut Problems) {
        let least = self.timeout_ms.saturating_add(delivery_timeout_ms);
        if self.claim_ms <= least || self.claim_ms > 3_600_000 {
            let allowed = format!("more than mail.timeout_ms and kafka.delivery_timeout_ms together ({least}), up to 3600000");
            problems.add("mail.claim_ms", &self.claim_ms, &allowed);
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn claim(&self) -> Duration {
        Duration::from_millis(self.claim_ms)
    }
}
