//! One record: the attempts, and the dead letter after the last.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chassis::scenario::{Scenario, Scenarios};
use futures::FutureExt;
use rand::RngExt;
use telemetry::kafka::{Outcome, ProcessSpan, ReadFrom};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    HandleError, Handled, Handler, Record,
    metrics::{Tally, TopicTally},
};
use crate::{dlq, kafka::KafkaConfig, producer::Producer};

/// Share of a delay by which chance makes it shorter or longer.
const JITTER: f64 = 0.2;

pub(super) struct Attempts<H> {
    group: &'static str,
    tally: Tally,
    delays: Vec<Duration>,
    handler: H,
    producer: Producer,
    scenarios: Scenarios,
}

/// What became of a delivery, and why the record has to wait where it has.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
}

/// What became of a delivery and, where something went wrong, what.
type Tried = (Outcome, Option<HandleError>);

impl<H: Handler> Attempts<H> {
    pub(super) fn new(
        config: &KafkaConfig,
        group: &'static str,
        tally: Tally,
        handler: H,
        producer: Producer,
        scenarios: Scenarios,
    ) -> Self {
        let delays = config.retry_delays_ms.iter().copied().map(Duration::from_millis).collect();
        Self { group, tally, delays, handler, producer, scenarios }
    }

    pub(super) fn tally(&self, topic: &str) -> Arc<TopicTally> {
        self.tally.of(topic)
    }

    /// Tries until the record is done with, has to wait, or is to be left to somebody else since `stop` was cancelled.
    pub(super) async fn process(&self, record: &Record, tally: &TopicTally, stop: &CancellationToken) -> Ended {
        let from = ReadFrom {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            group: self.group,
            key: record.key_text(),
        };
        let span = ProcessSpan::start(from, Some(record.headers.as_borrowed()));
        let mut delivery = Delivery::begin(tally, record, span.clone());
        let (outcome, error) = span.within(self.handle(record, &mut delivery, stop)).await;
        let reason = delivery.reason.take();
        delivery.close(outcome, error);
        Ended { outcome, reason }
    }

    async fn handle(&self, record: &Record, delivery: &mut Delivery<'_>, stop: &CancellationToken) -> Tried {
        if self.scenarios.is_about(Scenario::ConsumerLag, "group", self.group) {
            tokio::select! {
                () = self.scenarios.pause_in_turn(Scenario::ConsumerLag) => {}
                () = stop.cancelled() => return (Outcome::Abandoned, None),
            }
        }
        loop {
            delivery.attempts += 1;
            // the call within as well: it may panic before there is a future
            let result = AssertUnwindSafe(async { self.handler.handle(record).await }).catch_unwind().await;
            let error = match result {
                Ok(Ok(Handled::Now)) => return (Outcome::Processed, None),
                Ok(Ok(Handled::Before)) => return (Outcome::Duplicate, None),
                Ok(Ok(Handled::Ignored)) => return (Outcome::Ignored, None),
                Ok(Err(error)) => error,
                Err(_) => HandleError::permanent("the handler panicked").of_class("panic"),
            };
            let attempts = delivery.attempts;
            match (&error, self.delays.get(attempts - 1)) {
                (HandleError::Unavailable(_), _) => {
                    delivery.reason = Some(error.to_string());
                    return (Outcome::Postponed, Some(error));
                }
                (HandleError::Transient(_), Some(delay)) => {
                    tracing::warn!(%error, topic = record.topic, offset = record.offset, attempts, "trying again");
                    if !rest(*delay, stop).await {
                        return (Outcome::Abandoned, Some(error));
                    }
                    delivery.tally.retry();
                }
                _ => return (self.bury(record, &error, delivery).await, Some(error)),
            }
        }
    }

    async fn bury(&self, record: &Record, error: &HandleError, delivery: &mut Delivery<'_>) -> Outcome {
        let (topic, partition, offset, attempts) = (&record.topic, record.partition, record.offset, delivery.attempts);
        match dlq::send(&self.producer, record, self.group, error, attempts).await {
            Ok(()) => {
                tracing::error!(%error, topic, partition, offset, attempts, "dead letter");
                Outcome::DeadLettered
            }
            Err(failure) => {
                tracing::error!(%error, %failure, topic, partition, offset, "not even the dead letter topic took it: it will come again");
                delivery.reason = Some(format!("it cannot be buried: {failure}"));
                Outcome::Postponed
            }
        }
    }
}

/// False where the record is to be left to somebody else.
async fn rest(delay: Duration, stop: &CancellationToken) -> bool {
    let factor = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
    tokio::select! {
        () = sleep(delay.mul_f64(factor)) => true,
        () = stop.cancelled() => false,
    }
}

/// A record that is being handled. Where that is broken off it counts as abandoned.
struct Delivery<'a> {
    tally: &'a TopicTally,
    record: &'a Record,
    span: Option<ProcessSpan>,
    attempts: usize,
    /// Why it has to wait, where it has.
    reason: Option<String>,
}

impl<'a> Delivery<'a> {
    fn begin(tally: &'a TopicTally, record: &'a Record, span: ProcessSpan) -> Self {
        tally.begin();
        Self { tally, record, span: Some(span), attempts: 0, reason: None }
    }

    fn close(&mut self, outcome: Outcome, error: Option<HandleError>) {
        if let Some(span) = self.span.take() {
            self.tally.end(self.record, outcome);
            span.end(self.attempts, outcome, error.map(|error| (error.kind().to_owned(), error.to_string())));
        }
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.close(Outcome::Abandoned, None);
    }
}
