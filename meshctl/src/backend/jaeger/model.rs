//! The JSON of Jaeger's query service (`model/json` in its repository).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A typed tag of a span, a process or a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    /// `string`, `bool`, `int64`, `float64` or `binary`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: Value,
}

impl Tag {
    pub(crate) fn text(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), kind: "string", value: Value::String(value.into()) }
    }
}

/// A reference to another span, which may belong to another trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reference {
    /// `CHILD_OF` for the parent, `FOLLOWS_FROM` for a link.
    #[serde(rename = "refType")]
    pub(crate) kind: &'static str,
    #[serde(rename = "traceID")]
    pub(crate) trace: String,
    #[serde(rename = "spanID")]
    pub(crate) span: String,
}

/// An event of a span; the time is in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Log {
    pub(crate) timestamp: u64,
    pub(crate) fields: Vec<Tag>,
}

/// A span; start (since the Unix epoch) and duration are in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Span {
    #[serde(rename = "traceID")]
    pub(crate) trace: String,
    #[serde(rename = "spanID")]
    pub(crate) id: String,
    #[serde(rename = "operationName")]
    pub(crate) operation: String,
    pub(crate) references: Vec<Reference>,
    #[serde(rename = "startTime")]
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) tags: Vec<Tag>,
    pub(crate) logs: Vec<Log>,
    #[serde(rename = "processID")]
    pub(crate) process: String,
    pub(crate) warnings: Option<Vec<String>>,
}

/// The process that made a span: one OTLP resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Process {
    #[serde(rename = "serviceName")]
    pub(crate) service: String,
    pub(crate) tags: Vec<Tag>,
}

/// A trace; `processes` is keyed by the `processID` of its spans.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Trace {
    #[serde(rename = "traceID")]
    pub(crate) id: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) processes: BTreeMap<String, Process>,
    pub(crate) warnings: Option<Vec<String>>,
}

/// What every answer is wrapped into.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<T> {
    pub(crate) data: Option<T>,
    pub(crate) total: usize,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) errors: Option<Vec<Failure>>,
}

impl<T> Answer<T> {
    /// An answer without errors; Jaeger gives a total for names only.
    pub(crate) fn new(data: T, total: usize) -> Self {
        Self { data: Some(data), total, limit: 0, offset: 0, errors: None }
    }
}

/// An error inside an [`Answer`]; a code of 0 is left out.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) code: u16,
    pub(crate) msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(code: &u16) -> bool {
    *code == 0
}
