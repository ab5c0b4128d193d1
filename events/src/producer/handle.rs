//! librdkafka's producer: its settings, and the fresh one that takes the place of one that cannot go on.

use std::sync::{PoisonError, RwLock};

use ::kafka::{
    ClientConfig,
    error::KafkaError,
    producer::{FutureProducer, Producer as _},
};

use super::MAX_MESSAGE_BYTES;
use crate::kafka::KafkaConfig;

/// Bytes of one batch, before compression. A broker takes a batch whole or not at all, and by default up to 1 MiB.
const BATCH_BYTES: u32 = 1_000_000;
/// Records of one batch.
const BATCH_RECORDS: u32 = 10_000;
/// Bytes that may wait, in KiB: 64 MiB, about what a broker that is away for some seconds leaves behind.
const QUEUE_KIB: u32 = 65_536;

/// The producer of the moment.
#[derive(Clone)]
pub(super) struct Current {
    generation: u64,
    pub(super) inner: FutureProducer,
}

impl Current {
    /// True where idempotence is lost: librdkafka sends nothing any more.
    pub(super) fn is_broken(&self) -> bool {
        self.inner.client().fatal_error().is_some()
    }
}

pub(super) struct Handle {
    settings: ClientConfig,
    current: RwLock<Current>,
}

impl Handle {
    pub(super) fn open(config: &KafkaConfig, client_id: &str) -> Result<Self, KafkaError> {
        let settings = settings(config, client_id);
        let current = RwLock::new(Current { generation: 0, inner: settings.create()? });
        Ok(Self { settings, current })
    }

    pub(super) fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sees to it that nobody gets `broken` any more. False where no other can be made, which the next caller tries again.
    pub(super) fn renew(&self, broken: &Current) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation != broken.generation {
            return true;
        }
        let reason = broken.inner.client().fatal_error().map(|(_, reason)| reason).unwrap_or_default();
        match self.settings.create() {
            Ok(inner) => {
                tracing::error!(reason, "this producer cannot go on: a fresh one takes its place");
                *current = Current { generation: broken.generation + 1, inner };
                true
            }
            Err(error) => {
                tracing::error!(reason, %error, "this producer cannot go on, and no fresh one can be made");
                false
            }
        }
    }
}

/// What durability and order need is said, and not left to defaults.
fn settings(config: &KafkaConfig, client_id: &str) -> ClientConfig {
    let mut settings = config.client(client_id);
    settings
        // no record twice and none in front of an earlier one, whatever is sent again; 5 is the most that it allows
        .set("enable.idempotence", "true")
        .set("max.in.flight.requests.per.connection", "5")
        // of all replicas that are in sync
        .set("acks", "all")
        // as often as it takes, until the time is up
        .set("retries", i32::MAX.to_string())
        .set("message.timeout.ms", config.delivery_timeout_ms.to_string())
        .set("compression.type", "snappy")
        .set("linger.ms", config.linger_ms.to_string())
        .set("batch.size", BATCH_BYTES.to_string())
        .set("batch.num.messages", BATCH_RECORDS.to_string())
        // the broker is the judge of what a topic takes: a dead letter is larger than the record in it
        .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
        .set("queue.buffering.max.messages", config.queue_records.to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string());
    settings
}
