//! A client for servers that are not ours: TLS, headers of one's own, never a proxy.
//!
//! It stands beside the crate's other client because TLS without a second cryptography library needs a provider to be
//! chosen, which that one only knows for the process as a whole.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// A client; clones share their connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// How orders of `verify` are told from others: docs/sampling.md.
const USER_AGENT: &str = concat!("throughline-verify/", env!("CARGO_PKG_VERSION"));

impl Http {
    /// Sends `headers` with every request, and trusts the certificates in `ca` (PEM), or those that the system trusts.
    pub fn new(headers: HeaderMap, ca: Option<&Path>) -> Result<Self> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), headers })
    }

    /// The same connections without headers of one's own.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self { client: self.client.clone(), headers: HeaderMap::new() }
    }

    /// `GET url`, asking for a media type.
    pub async fn get(&self, url: &str, accept: &'static str) -> Result<Answer> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    /// Sends a request and reads the whole answer, within ten seconds.
    pub async fn send(&self, method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let mut request = Request::builder().method(method).uri(uri).body(Full::new(body))?;
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().extend(headers);
        let answered = async {
            let response = self.client.request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        match timeout(TIMEOUT, answered).await {
            Ok(answer) => answer.with_context(|| format!("cannot reach {url}")),
            Err(_) => bail!("{url} did not answer within {} s", TIMEOUT.as_secs()),
        }
    }
}

impl Answer {
    /// The body's beginning, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().chars().take(300).collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("the answer is no JSON: {}", self.text()))
    }

    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        // a machine without certificates can still speak plain HTTP
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        Some(file) => {
            let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
            let certificates = read().map_err(|err| crate::failure::usage(format!("--ca {}: {err}", file.display())))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(crate::failure::usage(format!("--ca {}: there is no certificate in it", file.display())));
            }
        }
    }
    Ok(roots)
}

/// `NAME=VALUE` on the command line as a header.
pub(crate) fn header_argument(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| "a header's value is one line of text".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}
