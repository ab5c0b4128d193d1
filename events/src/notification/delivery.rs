//! One mail that was claimed, until it is known and written down what became of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use db::pool::Pool;
use lettre::Message;
use rand::RngExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    NAME,
    failure::Failure,
    gate::Pause,
    mailer::Mailer,
    metrics::Tally,
    store::{self, Claimed, Report},
    verdict::{self, Verdict},
};
use crate::{
    consumer::{HandleError, Record},
    contract::NotificationRequested,
    dlq,
    producer::Producer,
};

/// Share of a delay by which chance makes it shorter or longer.
const JITTER: f64 = 0.2;
/// Until a dead letter that Kafka has not acknowledged is tried again, and its mail with it.
const UNBURIED: Duration = Duration::from_secs(5);

/// What a sender has to know of a mail that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) event_id: Uuid,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// The server has answered.
    Answer,
    /// The same, and the mail is due again after a while.
    Again(Duration),
    /// Nothing can leave.
    Away(String),
    /// Nothing is known of the server.
    Nothing,
}

/// What is written down.
#[derive(Debug, Clone, Copy)]
enum End<'a> {
    Sent,
    PutBack(&'a Report, Duration),
    Failed(&'a Report),
}

pub(super) struct Delivery {
    pub(super) pool: Pool,
    pub(super) mailer: Mailer,
    pub(super) producer: Producer,
    pub(super) delays: Vec<Duration>,
    pub(super) tally: Tally,
    /// The process stops: nothing is begun any more.
    pub(super) shutdown: CancellationToken,
    /// It does not wait any longer.
    pub(super) overdue: CancellationToken,
}

impl Delivery {
    /// Sends a mail and writes down what became of it.
    pub(super) async fn deliver(&self, mail: Claimed) -> Ended {
        let known = Report { attempts: mail.attempts, uncertain: mail.uncertain, error: mail.last_error.clone() };
        let news = match self.attempt(&mail, &known).await {
            Some(verdict) => self.conclude(&mail, &known, verdict).await,
            // it is left as one that is being sent: nobody can tell whether it was
            None => News::Nothing,
        };
        Ended { event_id: mail.event_id, news }
    }

    /// None where the process ended while the server had the mail.
    async fn attempt(&self, mail: &Claimed, known: &Report) -> Option<Verdict> {
        if self.shutdown.is_cancelled() {
            return Some(Verdict::Again(known.clone(), Duration::ZERO));
        }
        if let Some(verdict) = verdict::before(known) {
            return Some(verdict);
        }
        let message = match self.compose(mail) {
            Ok(message) => message,
            Err(error) => return Some(verdict::after(Err(Failure::Refused(error)), known, None)),
        };
        if known.uncertain > 0 {
            self.tally.possible_duplicate();
            tracing::warn!(event_id = %mail.event_id, "sent once more: it is not known whether this mail was sent");
        }
        let handed_over = AtomicBool::new(false);
        tokio::select! {
            result = self.mailer.send(&message, &handed_over) => Some(verdict::after(result, known, self.delay(known))),
            () = self.overdue.cancelled() => {
                (!handed_over.load(Ordering::Acquire)).then(|| Verdict::Again(known.clone(), Duration::ZERO))
            }
        }
    }

    fn compose(&self, mail: &Claimed) -> Result<Message, HandleError> {
        let event = mail.original()?.decode::<NotificationRequested>()?;
        self.mailer.compose(mail.event_id, &event.data)
    }

    /// Before the next attempt, if there is to be one.
    fn delay(&self, known: &Report) -> Option<Duration> {
        let factor = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
        self.delays.get(usize::try_from(known.attempts).ok()?).map(|delay| delay.mul_f64(factor))
    }

    async fn conclude(&self, mail: &Claimed, known: &Report, verdict: Verdict) -> News {
        match verdict {
            Verdict::Sent => {
                self.tally.sent();
                self.write(mail, End::Sent).await;
                News::Answer
            }
            Verdict::Again(report, delay) => {
                self.write(mail, End::PutBack(&report, delay)).await;
                if report.attempts == known.attempts {
                    return News::Nothing;
                }
                self.tally.retried();
                tracing::warn!(event_id = %mail.event_id, attempts = report.attempts, error = report.error, "the mail was refused for now");
                News::Again(delay)
            }
            Verdict::Wait(report) => {
                self.write(mail, End::PutBack(&report, Duration::ZERO)).await;
                News::Away(report.error.unwrap_or_default())
            }
            Verdict::Bury(report, error) => self.bury(mail, &report, &error).await,
        }
    }

    /// The mail is given up once Kafka has acknowledged its dead letter, and not before.
    async fn bury(&self, mail: &Claimed, report: &Report, error: &HandleError) -> News {
        let record = match mail.original() {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, event_id = %mail.event_id, "the row cannot be read; it stays");
                self.write(mail, End::PutBack(report, UNBURIED)).await;
                return News::Nothing;
            }
        };
        tokio::select! {
            acknowledged = self.send_letter(mail, &record, report, error) => {
                if acknowledged {
                    self.write(mail, End::Failed(report)).await;
                    return if error.kind() == "uncertain" { News::Nothing } else { News::Answer };
                }
            }
            () = self.overdue.cancelled() => {}
        }
        self.write(mail, End::PutBack(report, UNBURIED)).await;
        News::Nothing
    }

    async fn send_letter(&self, mail: &Claimed, record: &Record, report: &Report, error: &HandleError) -> bool {
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        let attempts = usize::try_from(report.attempts + report.uncertain).unwrap_or(usize::MAX);
        match dlq::send_below(&self.producer, &mail.parent(), record, NAME, error, attempts).await {
            Ok(()) => {
                self.tally.dead_lettered();
                tracing::error!(%error, topic, partition, offset, attempts, "dead letter: a mail that cannot be sent");
                true
            }
            Err(failure) => {
                tracing::error!(%error, %failure, topic, partition, offset, "not even the dead letter topic took it: the mail stays");
                false
            }
        }
    }

    /// Writes until it is written: to forget that a mail was sent would be to send it again.
    async fn write(&self, mail: &Claimed, end: End<'_>) {
        let mut pause = Pause::default();
        loop {
            let Err(error) = self.pool.bounded(self.try_to_write(mail, end)).await else { return };
            tracing::warn!(%error, "what became of a mail is not written down yet");
            tokio::select! {
                () = sleep(pause.longer()) => {}
                () = self.overdue.cancelled() => return,
            }
        }
    }
    async fn try_to_write(&self, mail: &Claimed, end: End<'_>) -> Result<(), HandleError> {
        let mut connection = self.pool.get().await?;
        match end {
            End::Sent => store::sent(&mut connection, mail.event_id).await?,
            End::PutBack(report, delay) => store::put_back(&mut connection, mail, report, delay).await?,
            End::Failed(report) => store::failed(&mut connection, mail, report).await?,
        }
        Ok(())
    }
}
