//! Where spans leave the process: the OTLP exporter, and a count of every span on its way there.

mod encode;
mod raw;
mod send;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor},
};
use send::Sender;

use crate::{
    config::TelemetryConfig,
    metrics::{SpanResult, count_spans},
    setup::TelemetryError,
};

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

/// Hands spans to the batch processor as long as there is room, and counts those for which there is none.
#[derive(Debug)]
pub(crate) struct Admission {
    inner: BatchSpanProcessor,
    waiting: Arc<Waiting>,
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
        let waiting = Arc::new(Waiting::default());
        let batches = BatchConfigBuilder::default()
            // ours is the limit that counts
            .with_max_queue_size(config.queue_size + config.batch_size)
            .with_max_export_batch_size(config.batch_size)
            .with_scheduled_delay(Duration::from_millis(config.export_interval_ms))
            .build();
        let exporter = Exporter { sender, resource: Resource::builder_empty().build(), waiting: Arc::clone(&waiting) };
        let inner = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        Ok(Self { inner, waiting, room: config.queue_size, told: AtomicBool::new(false) })
    }
}

impl SpanProcessor for Admission {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.0.fetch_add(1, Ordering::Relaxed) >= self.room {
            self.waiting.0.fetch_sub(1, Ordering::Relaxed);
            count_spans(SpanResult::Dropped, 1);
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(queue_size = self.room, "spans are dropped: more end than can be exported");
            }
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let result = self.inner.shutdown_with_timeout(timeout);
        let left = self.waiting.0.swap(0, Ordering::Relaxed);
        if left > 0 {
            count_spans(SpanResult::Failed, left);
            tracing::warn!(spans = left, "spans are lost: they could not be exported before the end");
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Encodes and sends batches, and counts what became of each span.
#[derive(Debug)]
struct Exporter {
    sender: Sender,
    resource: Resource,
    waiting: Arc<Waiting>,
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let request = encode::request(&self.resource, &batch);
        // gone before the request travels: a backend that is slow holds bytes, not spans
        drop(batch);
        let result = self.sender.send(request).await;
        let spans = self.waiting.take(spans);
        match result {
            Ok(answer) => {
                let rejected = usize::try_from(answer.rejected_spans).unwrap_or(0).min(spans);
                count_spans(SpanResult::Exported, spans - rejected);
                if rejected > 0 {
                    count_spans(SpanResult::Failed, rejected);
                    tracing::warn!(spans = rejected, reason = answer.error_message, "spans are lost: the backend rejects them");
                }
                Ok(())
            }
            Err(error) => {
                count_spans(SpanResult::Failed, spans);
                tracing::warn!(error, spans, "spans are lost: the export failed");
                Err(OTelSdkError::InternalFailure(error))
            }
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }
}
