//! Sending: idempotent, acknowledged by all in-sync replicas, with a span for each record.

use std::time::Duration;

use ::kafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use telemetry::{context::TraceContext, kafka::SendSpan};

use crate::{
    envelope::{Envelope, Event},
    kafka::KafkaConfig,
};

/// The largest record of any topic: that of the dead letter topic.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 2 << 20;

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
    inner: FutureProducer,
    config: KafkaConfig,
}

/// A record that the producer has taken and no broker has acknowledged yet.
pub struct Sending {
    delivery: DeliveryFuture,
    span: SendSpan,
}

impl Producer {
    /// Connects in the background.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(config: &KafkaConfig, client_id: &str) -> Result<Self, KafkaError> {
        let inner = config
            .client(client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "snappy")
            .set("linger.ms", config.linger_ms.to_string())
            // the broker is the judge of what a topic takes: a dead letter is larger than the record in it
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", config.delivery_timeout_ms.to_string())
            .create()?;
        Ok(Self { inner, config: config.clone() })
    }

    /// Hands a record over, below the span that `parent` names. Records of one partition are sent in the order of the calls.
    ///
    /// # Errors
    /// [`SendError::Kafka`] where the producer's queue is full.
    pub(crate) fn enqueue(
        &self,
        topic: &str,
        key: &str,
        payload: &str,
        headers: OwnedHeaders,
        parent: &TraceContext,
    ) -> Result<Sending, SendError> {
        let topic = self.config.named(topic);
        let span = SendSpan::below(parent, &topic, key);
        self.hand_over(&topic, key, payload.as_bytes(), headers, span)
    }

    fn hand_over(&self, topic: &str, key: &str, payload: &[u8], headers: OwnedHeaders, span: SendSpan) -> Result<Sending, SendError> {
        let headers = span.inject(headers);
        match self.inner.send_result(FutureRecord::to(topic).key(key).payload(payload).headers(headers)) {
            Ok(delivery) => Ok(Sending { delivery, span }),
            Err((error, _)) => {
                span.failed(&error.to_string());
                Err(error.into())
            }
        }
    }

    /// Sends a record with the given headers below the current span and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`SendError`]
    pub(crate) async fn send_raw(&self, topic: &str, key: &str, payload: &[u8], headers: OwnedHeaders) -> Result<(), SendError> {
        let topic = self.config.named(topic);
        let span = SendSpan::below_current(&topic, key);
        self.hand_over(&topic, key, payload, headers, span)?.acknowledged().await
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

    /// Waits until nothing is on its way any more, at most `limit`.
    pub async fn flush(&self, limit: Duration) {
        let producer = self.inner.clone();
        // an error means that the limit was reached: whoever waits for a record learns that from the record
        let _ = chassis::spawn_blocking(move || producer.flush(limit)).await;
    }
}

impl Sending {
    /// Waits for the broker's acknowledgement.
    ///
    /// # Errors
    /// [`SendError`]
    pub async fn acknowledged(self) -> Result<(), SendError> {
        let (delivery, span) = (self.delivery, self.span);
        let result = match delivery.await {
            Ok(Ok(at)) => {
                span.acknowledged(at.partition, at.offset);
                return Ok(());
            }
            Ok(Err((error, _))) => SendError::Kafka(error),
            Err(_) => SendError::Closed,
        };
        span.failed(&result.to_string());
        Err(result)
    }
}

impl SendError {
    /// True where the broker will never take this record, however often it is sent.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Json(_) => true,
            Self::Closed => false,
            Self::Kafka(error) => matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidMessageSize)
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
