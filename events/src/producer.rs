//! Sending: idempotent, acknowledged by all in-sync replicas, with a span for each record.
//!
//! What waits for the broker is bounded; whoever sends while that is full waits as long as a record may wait. Where
//! librdkafka loses idempotence (a fatal error) and so sends nothing any more, a fresh producer takes over.

mod handle;

use std::{sync::Arc, time::Duration};

use ::kafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use chassis::scenario::{Scenario, Scenarios};
use telemetry::{context::TraceContext, kafka::SendSpan};
use tokio::time::{Instant, sleep};

use crate::{
    envelope::{Envelope, Event},
    kafka::KafkaConfig,
};
use handle::{Current, Handle};

/// The largest record of any topic: that of the dead letter topic.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 2 << 20;

/// Pause before a record is offered to a full queue again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// The most that [`Producer::flush`] waits: a process that stops has other things to end, and ten seconds in all.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Kafka has not acknowledged a record. It may have it nevertheless: send the same event again.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No broker, or no answer in time.
    #[error("kafka did not acknowledge: {0}")]
    Kafka(#[from] KafkaError),
    /// The event cannot be written as JSON.
    #[error("the event cannot be serialised: {0}")]
    Json(#[from] serde_json::Error),
    /// This process is ending.
    #[error("the producer was closed")]
    Closed,
}

/// A producer. Cheap to clone; has a thread of its own.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
    config: KafkaConfig,
    scenarios: Scenarios,
}

/// A record on its way out.
pub(crate) struct Outgoing<'a> {
    /// Its name on the broker.
    pub(crate) topic: &'a str,
    /// None: any partition.
    pub(crate) key: Option<&'a [u8]>,
    /// None: a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// A record that the producer has taken and no broker has acknowledged yet.
pub struct Sending {
    delivery: DeliveryFuture,
    span: Option<SendSpan>,
    sender: (Arc<Handle>, Current),
}

impl Producer {
    /// Connects in the background.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(config: &KafkaConfig, client_id: &str) -> Result<Self, KafkaError> {
        Ok(Self { handle: Arc::new(Handle::open(config, client_id)?), config: config.clone(), scenarios: Scenarios::default() })
    }

    /// The same, with these faults.
    #[must_use]
    pub fn heeding(self, scenarios: &Scenarios) -> Self {
        Self { scenarios: scenarios.clone(), ..self }
    }

    /// [`Scenario::LostContext`] where it is about Kafka.
    fn forgets(&self) -> bool {
        self.scenarios.is_about(Scenario::LostContext, "hop", "kafka") && self.scenarios.strikes(Scenario::LostContext)
    }

    /// A topic by its declared name.
    pub(crate) fn named(&self, topic: &str) -> String {
        self.config.named(topic)
    }

    /// Hands a record over, below the span that `parent` names. Records of one partition are sent in the order of the calls.
    ///
    /// # Errors
    /// [`SendError::Kafka`] where the producer's queue stays full.
    pub(crate) async fn enqueue(&self, record: Outgoing<'_>, parent: &TraceContext) -> Result<Sending, SendError> {
        let span = SendSpan::below(parent, record.topic, text(record.key));
        self.hand_over(record, Some(span)).await
    }

    /// As [`enqueue`](Self::enqueue), for a record that was sent before: below the span that `sender` names and with a link to it.
    pub(crate) async fn enqueue_again(&self, record: Outgoing<'_>, sender: &TraceContext) -> Result<Sending, SendError> {
        let span = SendSpan::again(sender, record.topic, text(record.key));
        self.hand_over(record, Some(span)).await
    }

    /// As [`enqueue`](Self::enqueue), for a record that is bookkeeping and belongs to nobody's trace.
    pub(crate) async fn enqueue_untold(&self, record: Outgoing<'_>) -> Result<Sending, SendError> {
        self.hand_over(record, None).await
    }

    async fn hand_over(&self, record: Outgoing<'_>, span: Option<SendSpan>) -> Result<Sending, SendError> {
        let headers = match &span {
            Some(span) if !self.forgets() => span.inject(record.headers),
            _ => record.headers,
        };
        match self.offer(Outgoing { headers, ..record }).await {
            Ok((delivery, current)) => Ok(Sending { delivery, span, sender: (Arc::clone(&self.handle), current) }),
            Err(error) => {
                if let Some(span) = span {
                    span.failed(&error.to_string());
                }
                Err(error.into())
            }
        }
    }

    /// Offers a record until there is room for it, for as long as it might then wait for the broker.
    async fn offer(&self, record: Outgoing<'_>) -> Result<(DeliveryFuture, Current), KafkaError> {
        let Outgoing { topic, key, value: payload, headers } = record;
        if !is_name(topic) {
            // librdkafka learns it from the broker and tells it once: the next record of that topic would wait
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTopic));
        }
        let mut record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord { topic, partition: None, payload, key, timestamp: None, headers: Some(headers) };
        let deadline = Instant::now() + Duration::from_millis(self.config.delivery_timeout_ms);
        loop {
            let current = self.handle.current();
            let error = match current.inner.send_result(record) {
                Ok(delivery) => return Ok((delivery, current)),
                Err((error, back)) => {
                    record = back;
                    error
                }
            };
            if Instant::now() >= deadline || !self.may_pass(&error, &current).await {
                return Err(error);
            }
        }
    }

    /// True where the same record may be taken at the next attempt, which is due.
    async fn may_pass(&self, error: &KafkaError, current: &Current) -> bool {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                sleep(QUEUE_PAUSE).await;
                true
            }
            Some(RDKafkaErrorCode::Fatal) => self.handle.renew(current),
            _ => false,
        }
    }

    /// Sends a record with the given headers below the current span and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`SendError`]
    pub(crate) async fn send_raw(&self, topic: &str, key: &str, payload: &[u8], headers: OwnedHeaders) -> Result<(), SendError> {
        let topic = self.config.named(topic);
        let span = SendSpan::below_current(&topic, Some(key));
        let record = Outgoing { topic: &topic, key: Some(key.as_bytes()), value: Some(payload), headers };
        self.hand_over(record, Some(span)).await?.acknowledged().await.map(drop)
    }

    /// Sends a record as it is below the current span and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`SendError`]
    pub(crate) async fn send_record(&self, record: Outgoing<'_>) -> Result<(), SendError> {
        let span = SendSpan::below_current(record.topic, text(record.key));
        self.hand_over(record, Some(span)).await?.acknowledged().await.map(drop)
    }

    /// Sends an event below the current span and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`SendError`]
    pub async fn send<T: Event>(&self, event: &Envelope<T>) -> Result<(), SendError> {
        let payload = serde_json::to_string(event)?;
        let headers = event_headers(&event.event_id.to_string());
        self.send_raw(T::TOPIC, &event.aggregate_id.to_string(), payload.as_bytes(), headers).await
    }

    /// Waits until nothing is on its way any more, at most `limit` and never longer than a second: whoever sent something
    /// waits for it himself, and what nobody waits for any more is sent again by whoever comes next.
    pub async fn flush(&self, limit: Duration) {
        let producer = self.handle.current().inner;
        // an error means that the limit was reached: whoever waits for a record learns that from the record
        let _ = chassis::spawn_blocking(move || producer.flush(limit.min(FLUSH_LIMIT))).await;
    }
}

/// What a broker allows as the name of a topic.
fn is_name(topic: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&topic.len()) && topic.bytes().all(allowed) && topic != "." && topic != ".."
}

fn text(key: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(key?).ok()
}

impl Sending {
    /// Waits for the broker's acknowledgement; returns the partition and the offset.
    ///
    /// # Errors
    /// [`SendError`]
    pub async fn acknowledged(self) -> Result<(i32, i64), SendError> {
        let Self { delivery, span, sender: (handle, current) } = self;
        let result = match delivery.await {
            Ok(Ok(at)) => {
                if let Some(span) = span {
                    span.acknowledged(at.partition, at.offset);
                }
                return Ok((at.partition, at.offset));
            }
            Ok(Err((error, _))) => SendError::Kafka(error),
            Err(_) => SendError::Closed,
        };
        if current.is_broken() {
            handle.renew(&current);
        }
        if let Some(span) = span {
            span.failed(&result.to_string());
        }
        Err(result)
    }
}

impl SendError {
    /// The Rust type of what failed.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Kafka(_) => "rdkafka::error::KafkaError",
            Self::Json(_) => "serde_json::Error",
            Self::Closed => "SendError",
        }
    }

    /// True where the broker will never take this record, however often it is sent.
    pub fn is_permanent(&self) -> bool {
        use RDKafkaErrorCode::{
            InvalidMessageSize, InvalidRecord, InvalidTimestamp, InvalidTopic, MessageBatchTooLarge, MessageSizeTooLarge, PolicyViolation,
        };
        match self {
            Self::Json(_) => true,
            Self::Closed => false,
            Self::Kafka(error) => matches!(
                error.rdkafka_error_code(),
                Some(
                    MessageSizeTooLarge
                        | MessageBatchTooLarge
                        | InvalidMessageSize
                        | InvalidRecord
                        | InvalidTimestamp
                        | InvalidTopic
                        | PolicyViolation
                )
            ),
        }
    }
}

/// Headers with which a reader can tell records apart without parsing them.
pub(crate) fn event_headers(event_id: &str) -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(Header { key: "event_id", value: Some(event_id) })
        .insert(Header { key: "content-type", value: Some("application/json") })
}
