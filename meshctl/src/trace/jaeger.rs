//! Reads Jaeger's JSON into a [`Trace`].

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::model::{Event, Kind, Link, Span, Status, Trace};

#[derive(Deserialize)]
struct JaegerTrace {
    #[serde(rename = "traceID")]
    id: String,
    spans: Vec<JaegerSpan>,
    processes: HashMap<String, JaegerProcess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "spanID")]
    id: String,
    operation_name: String,
    references: Option<Vec<JaegerReference>>,
    start_time: u64,
    duration: u64,
    tags: Option<Vec<JaegerTag>>,
    logs: Option<Vec<JaegerLog>>,
    #[serde(rename = "processID")]
    process: String,
}

#[derive(Deserialize)]
struct JaegerReference {
    #[serde(rename = "refType")]
    kind: String,
    #[serde(rename = "traceID")]
    trace: String,
    #[serde(rename = "spanID")]
    span: String,
}

#[derive(Deserialize)]
struct JaegerTag {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct JaegerLog {
    timestamp: u64,
    fields: Option<Vec<JaegerTag>>,
}

#[derive(Deserialize)]
struct JaegerProcess {
    #[serde(rename = "serviceName")]
    service: String,
    tags: Option<Vec<JaegerTag>>,
}

impl Trace {
    /// Reads one element of `data` in an answer of Jaeger's query API.
    ///
    /// Errors name the field that is missing or of the wrong type, or the process that a span refers to in vain.
    pub fn from_jaeger(json: Value) -> anyhow::Result<Self> {
        let JaegerTrace { id, spans, processes } =
            serde_json::from_value(json).context("the backend's answer is not a trace in Jaeger's JSON")?;
        let spans = spans.into_iter().map(|span| read_span(&id, span, &processes)).collect::<anyhow::Result<_>>()?;
        Ok(Self::new(id, spans))
    }
}

fn read_span(trace: &str, span: JaegerSpan, processes: &HashMap<String, JaegerProcess>) -> anyhow::Result<Span> {
    let process =
        processes.get(&span.process).with_context(|| format!("span {}: its processID {} is not in processes", span.id, span.process))?;
    let resource = attributes(process.tags.as_deref());
    let mut attributes = attributes(span.tags.as_deref());
    let (parents, others): (Vec<_>, Vec<_>) =
        span.references.unwrap_or_default().into_iter().partition(|reference| reference.kind == "CHILD_OF" && reference.trace == trace);
    let links = others.into_iter().map(|link| Link { trace: link.trace, span: link.span }).collect();
    Ok(Span {
        parent: parents.into_iter().next().map(|parent| parent.span),
        links,
        service: process.service.clone(),
        instance: resource.get("service.instance.id").and_then(Value::as_str).map(str::to_owned),
        kind: take_kind(&mut attributes),
        status: take_status(&mut attributes),
        status_message: attributes.remove("otel.status_description").and_then(|v| v.as_str().map(str::to_owned)),
        start_us: span.start_time,
        duration_us: span.duration,
        events: span.logs.unwrap_or_default().into_iter().map(read_event).collect(),
        attributes,
        resource,
        id: span.id,
        name: span.operation_name,
    })
}

fn attributes(tags: Option<&[JaegerTag]>) -> BTreeMap<String, Value> {
    tags.unwrap_or_default().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "the JSON is taken apart")]
fn read_event(log: JaegerLog) -> Event {
    Event { time_us: log.timestamp, attributes: attributes(log.fields.as_deref()) }
}

fn take_kind(attributes: &mut BTreeMap<String, Value>) -> Kind {
    match attributes.remove("span.kind").as_ref().and_then(Value::as_str) {
        Some("internal") => Kind::Internal,
        Some("server") => Kind::Server,
        Some("client") => Kind::Client,
        Some("producer") => Kind::Producer,
        Some("consumer") => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn take_status(attributes: &mut BTreeMap<String, Value>) -> Status {
    let error = attributes.remove("error").is_some_and(|error| error == true || error == "true");
    match attributes.remove("otel.status_code").as_ref().and_then(Value::as_str) {
        _ if error => Status::Error,
        Some("ERROR") => Status::Error,
        Some("OK") => Status::Ok,
        _ => Status::Unset,
    }
}
