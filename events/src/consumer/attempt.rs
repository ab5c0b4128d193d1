//! One record: the attempts, and the dead letter after the last.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use rand::RngExt;
use telemetry::kafka::{ProcessSpan, ReadFrom};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{HandleError, Handled, Handler, Record, metrics::Tally};
use crate::{dlq, kafka::KafkaConfig, producer::Producer};

/// Share of a delay by which chance makes it shorter or longer.
const JITTER: f64 = 0.2;

pub(super) struct Attempts<H> {
    group: &'static str,
    tally: Tally,
    delays: Vec<Duration>,
    handler: H,
    producer: Producer,
    shutdown: CancellationToken,
}

impl<H: Handler> Attempts<H> {
    pub(super) fn new(
        config: &KafkaConfig,
        group: &'static str,
        tally: Tally,
        handler: H,
        producer: Producer,
        shutdown: CancellationToken,
    ) -> Self {
        let delays = config.retry_delays_ms.iter().copied().map(Duration::from_millis).collect();
        Self { group, tally, delays, handler, producer, shutdown }
    }

    /// True where the record is done with: handled, or acknowledged as a dead letter.
    pub(super) async fn process(&self, record: &Record) -> bool {
        let from = ReadFrom {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            group: self.group,
            key: record.key.as_deref(),
        };
        let span = ProcessSpan::start(from, Some(record.headers.as_borrowed()));
        let (done, error) = span.within(self.handle(record)).await;
        span.end(error.map(|error| (error.kind().to_owned(), error.to_string())));
        done
    }

    async fn handle(&self, record: &Record) -> (bool, Option<HandleError>) {
        let mut attempts = 0;
        loop {
            // the call within as well: it may panic before there is a future
            let result = AssertUnwindSafe(async { self.handler.handle(record).await }).catch_unwind().await;
            let error = match result {
                Ok(Ok(handled)) => {
                    if handled == Handled::Before {
                        self.tally.duplicate(&record.topic);
                    }
                    return (true, None);
                }
                Ok(Err(error)) => error,
                Err(_) => HandleError::Permanent("the handler panicked".into()),
            };
            attempts += 1;
            match (&error, self.delays.get(attempts - 1)) {
                (HandleError::Unavailable(_), _) => {
                    tracing::warn!(%error, topic = record.topic, "waiting");
                    return (false, Some(error));
                }
                (HandleError::Transient(_), Some(delay)) => {
                    tracing::warn!(%error, topic = record.topic, offset = record.offset, attempts, "trying again");
                    if !self.rest(*delay).await {
                        return (false, Some(error));
                    }
                    self.tally.retry(&record.topic);
                }
                _ => return (self.bury(record, &error, attempts).await, Some(error)),
            }
        }
    }

    /// False where the process stops: the record is left to the next one.
    async fn rest(&self, delay: Duration) -> bool {
        let factor = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
        tokio::select! {
            () = sleep(delay.mul_f64(factor)) => true,
            () = self.shutdown.cancelled() => false,
        }
    }

    async fn bury(&self, record: &Record, error: &HandleError, attempts: usize) -> bool {
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        match dlq::send(&self.producer, record, self.group, error, attempts).await {
            Ok(()) => {
                self.tally.dead_letter(topic);
                tracing::error!(%error, topic, partition, offset, attempts, "dead letter");
                true
            }
            Err(failure) => {
                tracing::error!(%error, %failure, topic, partition, offset, "not even the dead letter topic took it: it will come again");
                false
            }
        }
    }
}
