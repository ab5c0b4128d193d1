//! Log lines of requests, from files or from a Loki.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::Value;

use crate::verify::{contract::LogLine, http::Http};

/// Lines that one answer of Loki holds, which is its default bound.
const PAGE: usize = 5000;

/// Where the lines are.
#[derive(Debug)]
pub(crate) enum Logs {
    /// A file, or a folder with a file for each service.
    Files(PathBuf),
    /// Base URL of a Loki.
    Loki(Box<Http>, String),
}

impl Logs {
    /// A Loki where it looks like a URL, else a path.
    pub(crate) fn new(http: Http, place: &str) -> Self {
        if place.starts_with("http://") || place.starts_with("https://") {
            Self::Loki(Box::new(http), place.trim_end_matches('/').to_owned())
        } else {
            Self::Files(PathBuf::from(place))
        }
    }

    /// How many lines like `line` there are of the traces in `ids`, since `start`. Two lines of a trace are two.
    pub(crate) async fn count(&self, line: &LogLine, ids: &HashSet<String>, start: DateTime<Utc>) -> Result<usize> {
        let ours = |text: &str| is_one(text, line, ids);
        match self {
            Self::Files(path) => Ok(read(path, &line.service)?.lines().filter(|text| ours(text)).count()),
            Self::Loki(http, base) => Ok(loki(http, base, line, start).await?.iter().filter(|text| ours(text)).count()),
        }
    }
}

fn read(path: &Path, service: &str) -> Result<String> {
    let file = if path.is_dir() { path.join(format!("{service}.log")) } else { path.to_owned() };
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read the log {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a line has the fields, and the trace id of one of ours.
fn is_one(text: &str, line: &LogLine, ids: &HashSet<String>) -> bool {
    let Ok(fields) = serde_json::from_str::<Value>(text) else { return false };
    let is = |(key, value): (&String, &String)| fields[key].as_str() == Some(value);
    line.matching.iter().all(is) && fields[&line.trace_id].as_str().is_some_and(|id| ids.contains(id))
}

/// All lines of the selector since `start`, page by page.
async fn loki(http: &Http, base: &str, line: &LogLine, start: DateTime<Utc>) -> Result<Vec<String>> {
    let mut from = start.timestamp_nanos_opt().unwrap_or(0);
    let mut lines = HashSet::new();
    loop {
        let parameters = [
            ("query", line.loki.clone()),
            ("start", from.to_string()),
            ("end", (Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)).to_string()),
            ("limit", PAGE.to_string()),
            ("direction", "forward".to_owned()),
        ];
        let url = Url::parse_with_params(&format!("{base}/loki/api/v1/query_range"), parameters)?;
        let answer = http.get(url.as_str(), "application/json").await?;
        if !answer.status.is_success() {
            bail!("{base} answered {}: {}", answer.status, answer.text());
        }
        let page = entries(&answer.json()?);
        let last = page.iter().map(|(at, _)| *at).max();
        let full = page.len() >= PAGE;
        lines.extend(page);
        match last.filter(|last| full && *last > from) {
            // lines of the same nanosecond come again, and are known
            Some(last) => from = last,
            None => return Ok(lines.into_iter().map(|(_, text)| text).collect()),
        }
    }
}

fn entries(answer: &Value) -> Vec<(i64, String)> {
    let streams = answer["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
    let values = streams.iter().filter_map(|stream| stream["values"].as_array()).flatten();
    values.filter_map(|value| Some((value[0].as_str()?.parse().ok()?, value[1].as_str()?.to_owned()))).collect()
}
