//! Asks a Jaeger query API, ours or another, for traces.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::model::Trace;
use crate::backend::id::TraceId;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// A trace which has not grown for this long is taken for complete: three times the delay of the services' span export.
const QUIET: Duration = Duration::from_millis(1500);
/// The same while the parent of a span is still missing.
const QUIET_WITH_ORPHANS: Duration = Duration::from_secs(4);

/// A client of the query API at one base URL.
#[derive(Debug, Clone)]
pub struct TraceSource {
    client: Client,
    base: Url,
}

impl TraceSource {
    /// A source at a base URL such as `http://127.0.0.1:16686`. Errors name the URL that is none.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let base = Url::parse(base).with_context(|| format!("{base:?} is not the URL of a trace backend"))?;
        Ok(Self { client: Client::builder().no_proxy().timeout(TIMEOUT).build()?, base })
    }

    /// The trace with this id; `None` where the backend has none.
    pub async fn trace(&self, id: TraceId) -> anyhow::Result<Option<Trace>> {
        let data = self.get(&format!("api/traces/{id}"), &[]).await?;
        data.into_iter().next().map(Trace::from_jaeger).transpose()
    }

    /// The newest trace with a span of this service that has all these tags. A Jaeger looks back for two days where nothing is said.
    pub async fn newest(&self, service: &str, tags: &[(&str, &str)]) -> anyhow::Result<Option<Trace>> {
        let mut query = vec![("service", service.to_owned()), ("limit", "1".to_owned())];
        if !tags.is_empty() {
            let object: serde_json::Map<_, _> = tags.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
            query.push(("tags", Value::Object(object).to_string()));
        }
        self.get("api/traces", &query).await?.into_iter().next().map(Trace::from_jaeger).transpose()
    }

    /// The newest traces, at most `limit`, with a span of this service that began after `since` (since the Unix epoch).
    pub async fn since(&self, service: &str, since: Duration, limit: usize) -> anyhow::Result<Vec<Trace>> {
        let query = [("service", service.to_owned()), ("limit", limit.to_string()), ("start", since.as_micros().to_string())];
        self.get("api/traces", &query).await?.into_iter().map(Trace::from_jaeger).collect()
    }

    /// Waits until the trace exists and has stopped growing, or the deadline has passed; then gives what there is.
    pub async fn settled(&self, id: TraceId, deadline: Instant) -> anyhow::Result<Option<Trace>> {
        let mut grown = Instant::now();
        let mut last = self.trace(id).await?;
        while Instant::now() < deadline {
            if let Some(trace) = &last {
                let quiet = if trace.orphans().next().is_some() { QUIET_WITH_ORPHANS } else { QUIET };
                if grown.elapsed() >= quiet {
                    break;
                }
            }
            sleep(POLL.min(deadline.saturating_duration_since(Instant::now()))).await;
            let next = self.trace(id).await?;
            if size(next.as_ref()) != size(last.as_ref()) {
                grown = Instant::now();
            }
            last = next;
        }
        Ok(last)
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Vec<Value>> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let unreachable = || format!("cannot reach the trace backend at {}: is the mesh up (./mesh status)?", self.base);
        let response = self.client.get(url.clone()).send().await.with_context(unreachable)?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let mut body: Value = response.json().await.with_context(|| format!("{url} answered {status} with something that is not JSON"))?;
        if !status.is_success() {
            bail!("{url} answered {status}: {}", body["errors"][0]["msg"].as_str().unwrap_or("no reason given"));
        }
        match body["data"].take() {
            Value::Array(data) => Ok(data),
            Value::Null => Ok(Vec::new()),
            _ => bail!("{url} answered JSON whose data is no list: is it a Jaeger query API?"),
        }
    }
}

fn size(trace: Option<&Trace>) -> usize {
    trace.map_or(0, |trace| trace.spans().len())
}
