//! Where spans leave the process: the OTLP exporter, and a count of every span on its way there.

mod encode;
mod queue;
mod raw;
mod send;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures::executor::block_on;
use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};
use prost::bytes::Bytes;
use queue::{Batch, Queue};
use send::Sender;

use crate::{
    config::TelemetryConfig,
    metrics::{SpanResult, count_spans},
    setup::TelemetryError,
};

/// How long somebody who asks for it waits until all that has ended is exported.
const FLUSH: Duration = Duration::from_secs(5);

/// Spans that were admitted and not yet exported.
#[derive(Debug, Default)]
struct Waiting(AtomicUsize);

impl Waiting {
    /// Takes spans out, as far as the end of the process has not counted them as lost already.
    fn take(&self, spans: usize) -> usize {
        let before = self.0.update(Ordering::Relaxed, Ordering::Relaxed, |waiting| waiting.saturating_sub(spans));
        before.min(spans)
    }
}

/// What those who end spans and the exporter's thread share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    waiting: Waiting,
    resource: OnceLock<Resource>,
}

/// Queues spans for the exporter as long as there is room, and counts those for which there is none.
#[derive(Debug)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
    room: usize,
    told: AtomicBool,
}

impl Admission {
    /// A queue of `config.queue_size` spans in front of the exporter.
    ///
    /// # Errors
    /// Where the exporter cannot be made as configured.
    pub(crate) fn new(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let sender = Sender::new(config)?;
        let queue = Queue::new(config.batch_size, Duration::from_millis(config.export_interval_ms));
        let shared = Arc::new(Shared { queue, waiting: Waiting::default(), resource: OnceLock::new() });
        let exporter = Exporter { sender, shared: Arc::clone(&shared) };
        thread::Builder::new()
            .name("span-exporter".into())
            .spawn(move || exporter.run())
            .map_err(|error| TelemetryError::Exporter { endpoint: config.otlp_endpoint.clone(), problem: error.to_string() })?;
        Ok(Self { shared, room: config.queue_size, told: AtomicBool::new(false) })
    }
}

impl SpanProcessor for Admission {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let waiting = &self.shared.waiting;
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= self.room {
            waiting.0.fetch_sub(1, Ordering::Relaxed);
            count_spans(SpanResult::Dropped, 1);
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(queue_size = self.room, "spans are dropped: more end than can be exported");
            }
            return;
        }
        if !self.shared.queue.push(&span.instrumentation_scope, &encode::span(&span)) {
            count_spans(SpanResult::Failed, waiting.take(1));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        if self.shared.queue.flush(FLUSH) { Ok(()) } else { Err(OTelSdkError::Timeout(FLUSH)) }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let ended = self.shared.queue.stop(timeout);
        let left = self.shared.waiting.0.swap(0, Ordering::Relaxed);
        if left > 0 {
            count_spans(SpanResult::Failed, left);
            tracing::warn!(spans = left, "spans are lost: they could not be exported before the end");
        }
        if ended { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
    }

    fn set_resource(&mut self, resource: &Resource) {
        // the SDK says it once, before there is a span
        let _ = self.shared.resource.set(resource.clone());
    }
}

/// Sends batches, and counts what became of each span.
#[derive(Debug)]
struct Exporter {
    sender: Sender,
    shared: Arc<Shared>,
}

impl Exporter {
    fn run(self) {
        let _none_of_its_own = Context::enter_telemetry_suppressed_scope();
        while let Some(batch) = self.shared.queue.next() {
            self.export(batch);
        }
    }

    fn export(&self, batch: Batch) {
        let mut bytes = Bytes::from(batch.bytes);
        let request = encode::request(self.shared.resource.get_or_init(|| Resource::builder_empty().build()), &batch.scopes, &bytes);
        let result = block_on(self.sender.send(request));
        let spans = self.shared.waiting.take(batch.spans);
        match result {
            Ok(answer) => {
                let rejected = usize::try_from(answer.rejected_spans).unwrap_or(0).min(spans);
                count_spans(SpanResult::Exported, spans - rejected);
                if rejected > 0 {
                    count_spans(SpanResult::Failed, rejected);
                    tracing::warn!(spans = rejected, reason = answer.error_message, "spans are lost: the backend rejects them");
                }
            }
            Err(error) => {
                count_spans(SpanResult::Failed, spans);
                tracing::warn!(error, spans, "spans are lost: the export failed");
            }
        }
        bytes.clear();
        self.shared.queue.give_back(bytes.into());
    }
}
