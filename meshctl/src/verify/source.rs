//! Where traces are kept: the mesh's own backend, any Jaeger, any Tempo.

mod otlp;
mod search;

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use http::{StatusCode, header};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde::Serialize;
use serde_json::Value;

pub use self::search::Search;
use super::http::{Answer, Http};
use crate::{backend::id::TraceId, failure, trace::Trace};

/// `--backend`: which query API, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendArg {
    /// The API.
    pub api: Api,
    /// Base URL; none is the mesh's own backend.
    pub url: Option<String>,
}

/// A query API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Jaeger's HTTP JSON API.
    Jaeger,
    /// Tempo's HTTP API.
    Tempo,
}

impl FromStr for BackendArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (api, url) = text.split_once('=').map_or((text, None), |(api, url)| (api, Some(url)));
        let allowed = "write embedded, jaeger=URL or tempo=URL";
        let api = match (api, url) {
            ("embedded", None) | ("jaeger", _) => Api::Jaeger,
            ("tempo", _) => Api::Tempo,
            _ => return Err(allowed.to_owned()),
        };
        let well_formed = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if url.is_some_and(|url| !well_formed(url)) {
            return Err(format!("the URL begins with http:// or https://; {allowed}"));
        }
        Ok(Self { api, url: url.map(|url| url.trim_end_matches('/').to_owned()) })
    }
}

/// A client of one backend.
#[derive(Debug, Clone)]
pub struct Source {
    http: Http,
    api: Api,
    url: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.api, self.url)
    }
}

impl Source {
    /// The backend that `backend` names; `own` is the base URL of the mesh's.
    pub fn new(http: Http, backend: &BackendArg, own: &str) -> Self {
        let own = || if backend.api == Api::Tempo { format!("{own}/tempo") } else { own.to_owned() };
        Self { http, api: backend.api, url: backend.url.clone().unwrap_or_else(own) }
    }

    /// The trace as far as it is there. Fails where the backend cannot be reached, or refuses.
    pub async fn trace(&self, id: TraceId) -> Result<Option<Trace>> {
        let url = format!("{}/api/traces/{id}", self.url);
        let accept = match self.api {
            Api::Jaeger => "application/json",
            Api::Tempo => "application/protobuf",
        };
        let answer = self.http.get(&url, accept).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = fine(answer, &url)?;
        let trace = match self.api {
            Api::Jaeger => jaeger(&answer),
            Api::Tempo => tempo(id, &answer),
        };
        trace.with_context(|| format!("what {url} answered is no trace"))
    }

    /// The ids of the newest traces that `search` finds, at most `limit`.
    pub async fn search(&self, search: &Search, limit: usize) -> Result<Vec<TraceId>> {
        let url = search.url(self.api, &self.url, limit)?;
        let answer = fine(self.http.get(&url, "application/json").await?, &url)?.json()?;
        let (list, key) = match self.api {
            Api::Jaeger => (&answer["data"], "traceID"),
            Api::Tempo => (&answer["traces"], "traceID"),
        };
        let traces = list.as_array().map_or(&[][..], Vec::as_slice);
        traces
            .iter()
            .map(|trace| {
                trace[key].as_str().unwrap_or_default().parse::<TraceId>().with_context(|| format!("what {url} found has no {key}"))
            })
            .collect()
    }

    /// What the backend says of spans that it does not have; only ours says so.
    pub async fn losses(&self) -> Option<Losses> {
        let url = format!("{}/api/stats", self.url.trim_end_matches("/tempo"));
        let answer = self.http.get(&url, "application/json").await.ok().filter(|answer| answer.status.is_success())?;
        let stats = answer.json().ok()?;
        Some(Losses { dropped: stats["spans_refused"].as_u64()?, evicted: stats["spans_evicted"].as_u64()? })
    }
}

/// Spans that a backend does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// It did not take them.
    pub dropped: u64,
    /// It took them, and gave them up for newer ones.
    pub evicted: u64,
}

impl Losses {
    /// What was lost since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { dropped: self.dropped.saturating_sub(before.dropped), evicted: self.evicted.saturating_sub(before.evicted) }
    }
}

/// An answer that is a success, or what the backend said instead.
fn fine(answer: Answer, url: &str) -> Result<Answer> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let hint = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            " (--header Authorization='Bearer ...', or X-Scope-OrgID=..., may be what it wants)"
        }
        _ => "",
    };
    let message = format!("{url} answered {}{hint}: {}", answer.status, answer.text());
    if answer.status == StatusCode::BAD_REQUEST { Err(failure::usage(message)) } else { bail!(message) }
}

fn jaeger(answer: &Answer) -> Result<Option<Trace>> {
    let mut answer = answer.json()?;
    match answer["data"].get_mut(0).map(Value::take) {
        Some(trace) => Trace::from_jaeger(trace).map(Some),
        None => Ok(None),
    }
}

/// Tempo may answer in JSON whatever it is asked for.
fn tempo(id: TraceId, answer: &Answer) -> Result<Option<Trace>> {
    let json = answer.header(header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));
    let data = if json { otlp::from_json(answer.json()?)? } else { TracesData::decode(answer.body.clone())? };
    let trace = otlp::trace(id, data);
    Ok((!trace.spans().is_empty()).then_some(trace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_on_the_command_line() {
        let read = |text: &str| text.parse::<BackendArg>().map(|arg| (arg.api, arg.url));
        assert_eq!(read("embedded"), Ok((Api::Jaeger, None)));
        assert_eq!(read("tempo"), Ok((Api::Tempo, None)));
        assert_eq!(read("jaeger=http://jaeger:16686/"), Ok((Api::Jaeger, Some("http://jaeger:16686".to_owned()))));
        assert_eq!(read("tempo=https://t/tempo"), Ok((Api::Tempo, Some("https://t/tempo".to_owned()))));
        for text in ["", "zipkin=http://z", "embedded=http://x", "tempo=tempo:3200", "jaeger="] {
            assert!(read(text).unwrap_err().contains("tempo=URL"), "{text}");
        }
    }
}
