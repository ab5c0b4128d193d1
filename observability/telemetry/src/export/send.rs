//! Requests on their way to the backend, over gRPC or HTTP, tried again as long as that makes sense.
//! <https://opentelemetry.io/docs/specs/otlp/>

use std::{
    fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, uri::PathAndQuery};
use prost::{Message, bytes::Bytes};
use tonic::{
    Code, Status,
    client::Grpc,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt;
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use super::raw::RawCodec;
use crate::{
    config::{OtlpCompression, OtlpProtocol, TelemetryConfig},
    setup::TelemetryError,
};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Throughline/", env!("CARGO_PKG_VERSION"));
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The first pause between attempts; each is twice as long as the one before, up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// `ExportTraceServiceResponse`
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// Spans that the backend does not want, and why.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
enum Failure {
    /// Try again, after this time where the backend named one.
    Passing(String, Option<Duration>),
    /// It would be refused again.
    Lasting(String),
}

#[derive(Debug)]
enum Transport {
    Grpc { client: Grpc<Channel>, metadata: MetadataMap },
    Http { agent: Agent, url: String, headers: HeaderMap, gzip: bool },
}

/// Where requests go.
#[derive(Debug)]
pub(super) struct Sender {
    transport: Transport,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let headers = config.headers().map_err(TelemetryError::Headers)?;
        let headers: HeaderMap = headers.iter().filter_map(|(name, value)| Some((name.try_into().ok()?, value.try_into().ok()?))).collect();
        let file = &config.otlp_ca_file;
        let authority = (!file.as_os_str().is_empty()).then(|| fs::read(file)).transpose();
        let authority = authority.map_err(|source| TelemetryError::CaFile { file: file.clone(), source })?;
        let transport = match config.otlp_protocol {
            OtlpProtocol::Grpc => grpc(config, authority, headers)?,
            OtlpProtocol::HttpProtobuf => over_http(config, authority.as_deref(), headers)?,
        };
        Ok(Self { transport, timeout: Duration::from_millis(config.otlp_timeout_ms) })
    }

    /// Sends an encoded request, given in pieces; tells what of it the backend left out. An error is the last attempt's. Blocks between
    /// attempts: it runs on the exporter's own thread.
    pub(super) async fn send(&self, request: Vec<Bytes>) -> Result<PartialSuccess, String> {
        let request = self.packed(request)?;
        let (deadline, mut pause) = (Instant::now() + self.timeout, PAUSE);
        loop {
            let (reason, named) = match self.attempt(request.clone()).await {
                Ok(answer) => {
                    return Answer::decode(answer)
                        .map(|answer| answer.partial_success.unwrap_or_default())
                        .map_err(|error| error.to_string());
                }
                Err(Failure::Lasting(reason)) => return Err(reason),
                Err(Failure::Passing(reason, named)) => (reason, named),
            };
            let pause_now = named.unwrap_or_else(|| jittered(pause));
            if Instant::now() + pause_now >= deadline {
                return Err(reason);
            }
            thread::sleep(pause_now);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// tonic compresses by itself; for HTTP it is done once for all attempts.
    fn packed(&self, request: Vec<Bytes>) -> Result<Vec<Bytes>, String> {
        if !matches!(self.transport, Transport::Http { gzip: true, .. }) {
            return Ok(request);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = request.iter().try_for_each(|piece| encoder.write_all(piece)).and_then(|()| encoder.finish());
        written.map(|packed| vec![packed.into()]).map_err(|error| error.to_string())
    }

    async fn attempt(&self, request: Vec<Bytes>) -> Result<Bytes, Failure> {
        match &self.transport {
            Transport::Grpc { client, metadata } => {
                let mut client = client.clone();
                client.ready().await.map_err(|error| Failure::Passing(with_causes(&error), None))?;
                let request = tonic::Request::from_parts(metadata.clone(), tonic::Extensions::default(), request);
                let answer = client.unary(request, PathAndQuery::from_static(METHOD), RawCodec).await;
                answer.map(tonic::Response::into_inner).map_err(|status| of_status(&status))
            }
            Transport::Http { agent, url, headers, gzip } => {
                let mut post = agent.post(url).header("content-type", "application/x-protobuf");
                if *gzip {
                    post = post.header("content-encoding", "gzip");
                }
                for (name, value) in headers {
                    post = post.header(name, value);
                }
                let mut response = post.send(&request.concat()[..]).map_err(|error| Failure::Passing(error.to_string(), None))?;
                let status = response.status();
                if !status.is_success() {
                    return Err(of_http(status, response.headers()));
                }
                response.body_mut().read_to_vec().map(Bytes::from).map_err(|error| Failure::Passing(error.to_string(), None))
            }
        }
    }
}

/// The specification's table of what may be tried again.
fn of_status(status: &Status) -> Failure {
    let reason = format!("{:?}: {}", status.code(), with_causes(status));
    let named = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::ResourceExhausted if named.is_none() => Failure::Lasting(reason),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::ResourceExhausted => Failure::Passing(reason, named),
        _ => Failure::Lasting(reason),
    }
}

fn of_http(status: http::StatusCode, headers: &HeaderMap) -> Failure {
    let reason = format!("HTTP status {status}");
    let after = headers.get(http::header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    match status.as_u16() {
        429 | 502 | 503 | 504 => Failure::Passing(reason, after.map(Duration::from_secs)),
        _ => Failure::Lasting(reason),
    }
}

/// What is wrong, with what is behind it: "transport error" alone helps nobody.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Between half of it and all of it, so that the processes of a mesh do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % 1_000;
    pause / 2 + pause.mul_f64(f64::from(u16::try_from(random).unwrap_or_default()) / 2_000.0)
}

fn grpc(config: &TelemetryConfig, authority: Option<Vec<u8>>, headers: HeaderMap) -> Result<Transport, TelemetryError> {
    let refused = |problem| TelemetryError::Exporter { endpoint: config.otlp_endpoint.clone(), problem };
    let mut endpoint = Endpoint::from_shared(config.otlp_endpoint.clone())
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|error| refused(with_causes(&error)))?
        .connect_timeout(ATTEMPT)
        .timeout(ATTEMPT);
    if config.otlp_endpoint.starts_with("https:") {
        let tls = ClientTlsConfig::new();
        let tls = match authority {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|error| refused(with_causes(&error)))?;
    }
    let mut client = Grpc::new(endpoint.connect_lazy());
    if config.otlp_compression == OtlpCompression::Gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    Ok(Transport::Grpc { client, metadata: MetadataMap::from_headers(headers) })
}

/// The export thread blocks anyway, so a blocking client is all that it takes.
fn over_http(config: &TelemetryConfig, authority: Option<&[u8]>, headers: HeaderMap) -> Result<Transport, TelemetryError> {
    let url = traces_url(&config.otlp_endpoint);
    if let Err(error) = url.parse::<http::Uri>() {
        return Err(TelemetryError::Exporter { endpoint: config.otlp_endpoint.clone(), problem: error.to_string() });
    }
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
    let agent = Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(ATTEMPT))
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        .build()
        .new_agent();
    Ok(Transport::Http { agent, url, headers, gzip: config.otlp_compression == OtlpCompression::Gzip })
}

/// `/v1/traces` below the endpoint, unless it is there already.
fn traces_url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn the_path_of_otlp_http_is_added_once() {
        assert_eq!(traces_url("http://a:4318"), "http://a:4318/v1/traces");
        assert_eq!(traces_url("http://a:4318/otlp/"), "http://a:4318/otlp/v1/traces");
        assert_eq!(traces_url("http://a:4318/v1/traces"), "http://a:4318/v1/traces");
    }

    #[test]
    fn what_the_specification_calls_retryable_is_tried_again() {
        let passes = |status: Status| matches!(of_status(&status), Failure::Passing(..));
        assert!(passes(Status::unavailable("")) && passes(Status::deadline_exceeded("")));
        assert!(!passes(Status::unauthenticated("")) && !passes(Status::invalid_argument("")) && !passes(Status::resource_exhausted("")));
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(3)));
        let full = Status::with_error_details(Code::ResourceExhausted, "full", details);
        assert!(matches!(of_status(&full), Failure::Passing(_, Some(after)) if after == Duration::from_secs(3)));
        let headers: HeaderMap = [(http::header::RETRY_AFTER, http::HeaderValue::from_static("7"))].into_iter().collect();
        assert!(matches!(of_http(http::StatusCode::TOO_MANY_REQUESTS, &headers), Failure::Passing(_, Some(after)) if after.as_secs() == 7));
        assert!(matches!(of_http(http::StatusCode::BAD_REQUEST, &headers), Failure::Lasting(_)));
    }

    #[test]
    fn pauses_differ_and_stay_within_their_bounds() {
        let pauses: Vec<_> = (0..20).map(|_| jittered(PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE / 2..=PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
