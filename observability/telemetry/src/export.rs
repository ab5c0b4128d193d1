//! Where spans leave the process: the OTLP exporter, and a count of every span on its way there.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    Compression, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::metadata::MetadataMap,
    tonic_types::transport::{Certificate, ClientTlsConfig},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor},
};
use ureq::tls::{RootCerts, TlsConfig};

use crate::{
    config::{OtlpCompression, OtlpProtocol, TelemetryConfig},
    metrics::{SpanResult, count_spans},
    setup::TelemetryError,
};

/// The exporter that the configuration asks for.
pub(crate) fn exporter(config: &TelemetryConfig) -> Result<SpanExporter, TelemetryError> {
    let headers = config.headers().map_err(TelemetryError::Headers)?;
    let file = &config.otlp_ca_file;
    let authority = (!file.as_os_str().is_empty()).then(|| fs::read(file)).transpose();
    let authority = authority.map_err(|source| TelemetryError::CaFile { file: file.clone(), source })?;
    let timeout = Duration::from_millis(config.otlp_timeout_ms);
    // as often as it takes: the timeout is the end of it
    let retries = RetryPolicy::recommended().with_max_retries(usize::MAX);
    let gzip = config.otlp_compression == OtlpCompression::Gzip;
    let built = match config.otlp_protocol {
        OtlpProtocol::Grpc => {
            let headers: http::HeaderMap =
                headers.iter().filter_map(|(name, value)| Some((name.try_into().ok()?, value.try_into().ok()?))).collect();
            let mut builder = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(config.otlp_endpoint.clone())
                .with_timeout(timeout)
                .with_retry_policy(retries)
                .with_metadata(MetadataMap::from_headers(headers));
            if gzip {
                builder = builder.with_compression(Compression::Gzip);
            }
            if config.otlp_endpoint.starts_with("https:") {
                let tls = ClientTlsConfig::new();
                builder = builder.with_tls_config(match authority {
                    Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                    None => tls.with_native_roots(),
                });
            }
            builder.build()
        }
        OtlpProtocol::HttpProtobuf => {
            let mut builder = SpanExporter::builder()
                .with_http()
                .with_http_client(OtlpHttp::new(authority.as_deref(), timeout))
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(traces_url(&config.otlp_endpoint))
                .with_timeout(timeout)
                .with_retry_policy(retries)
                .with_headers(headers.into_iter().collect());
            if gzip {
                builder = builder.with_compression(Compression::Gzip);
            }
            builder.build()
        }
    };
    built.map_err(|source| TelemetryError::Exporter { endpoint: config.otlp_endpoint.clone(), source })
}

/// `/v1/traces` below the endpoint, unless it is there already.
fn traces_url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

/// The export thread blocks anyway, so a blocking client is all that it takes.
#[derive(Debug)]
struct OtlpHttp(ureq::Agent);

impl OtlpHttp {
    fn new(authority: Option<&[u8]>, timeout: Duration) -> Self {
        let roots = match authority {
            Some(pem) => {
                let certificates = ureq::tls::parse_pem(pem).filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                });
                RootCerts::new_with_certs(&certificates.collect::<Vec<_>>())
            }
            None => RootCerts::PlatformVerifier,
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let config = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(timeout)).http_status_as_error(false).build();
        Self(config.new_agent())
    }
}

#[async_trait::async_trait]
impl HttpClient for OtlpHttp {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.0.run(request.map(|bytes| bytes.to_vec()))?;
        let (head, mut body) = response.into_parts();
        Ok(Response::from_parts(head, body.read_to_vec()?.into()))
    }
}

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
    pub(crate) fn new(exporter: SpanExporter, config: &TelemetryConfig) -> Self {
        let waiting = Arc::new(Waiting::default());
        let batches = BatchConfigBuilder::default()
            // ours is the limit that counts
            .with_max_queue_size(config.queue_size + config.batch_size)
            .with_max_export_batch_size(config.batch_size)
            .with_scheduled_delay(Duration::from_millis(config.export_interval_ms))
            .build();
        let counted = Counted { inner: exporter, waiting: Arc::clone(&waiting) };
        let inner = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        Self { inner, waiting, room: config.queue_size, told: AtomicBool::new(false) }
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

/// Counts what became of each span.
#[derive(Debug)]
struct Counted {
    inner: SpanExporter,
    waiting: Arc<Waiting>,
}

impl opentelemetry_sdk::trace::SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        let spans = self.waiting.take(spans);
        count_spans(if result.is_ok() { SpanResult::Exported } else { SpanResult::Failed }, spans);
        if let Err(error) = &result {
            tracing::warn!(%error, spans, "spans are lost: the export failed");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::traces_url;

    #[test]
    fn the_path_of_otlp_http_is_added_once() {
        assert_eq!(traces_url("http://a:4318"), "http://a:4318/v1/traces");
        assert_eq!(traces_url("http://a:4318/otlp/"), "http://a:4318/otlp/v1/traces");
        assert_eq!(traces_url("http://a:4318/v1/traces"), "http://a:4318/v1/traces");
    }
}
