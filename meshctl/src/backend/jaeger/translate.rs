//! From OTLP spans to Jaeger's model, as Jaeger itself translates them
//! (`pkg/translator/jaeger` of opentelemetry-collector-contrib).

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Otlp},
    resource::v1::Resource,
    trace::v1::{Span as OtlpSpan, span, status::StatusCode},
};
use prost::Message as _;
use serde_json::Value;

use super::model::{Log, Process, Reference, Span, Tag, Trace};
use crate::backend::{
    id::TraceId,
    names::kind_name,
    record::{Record, Snapshot},
};

/// The largest integer that JavaScript's numbers hold exactly; Jaeger sends larger ones as text.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Translates a whole trace. Resources are processes `p1`, `p2`, ... in order of their first span, so that two
/// processes of one service are told apart by whatever differs in their resource (`service.instance.id`, as a rule).
pub(crate) fn trace(id: TraceId, spans: &Snapshot) -> Trace {
    let known: HashSet<u64> = spans.iter().map(|(id, _)| *id).collect();
    let mut processes = Processes::default();
    let spans = spans
        .iter()
        .map(|(_, record)| {
            let (process, scope) = processes.of(record);
            let orphan = record.parent != 0 && !known.contains(&record.parent);
            span(id, record, process, scope.as_ref(), orphan)
        })
        .collect();
    Trace { id: id.to_string(), spans, processes: processes.found, warnings: None }
}

/// Everything that a search by tag looks at: tags of the span and of its process, fields of its events, as text.
pub(crate) fn searchable_tags(record: &Record) -> HashSet<(String, String)> {
    let (resource, scope) = open(record);
    let span = record.open();
    let events = span.events.iter().flat_map(log_fields).collect::<Vec<_>>();
    let process = resource.attributes.iter().map(tag);
    let of_span = span_tags(&span, scope.as_ref());
    let all = of_span.into_iter().chain(process).chain(events);
    all.map(|tag| (tag.key, tag.value.as_str().map_or_else(|| tag.value.to_string(), str::to_owned))).collect()
}

#[derive(Default)]
struct Processes {
    keys: HashMap<Vec<u8>, String>,
    found: BTreeMap<String, Process>,
}

impl Processes {
    fn of(&mut self, record: &Record) -> (String, Option<InstrumentationScope>) {
        let (resource, scope) = open(record);
        let next = format!("p{}", self.keys.len() + 1);
        let key = self.keys.entry(resource.encode_to_vec()).or_insert(next).clone();
        self.found.entry(key.clone()).or_insert_with(|| Process {
            service: record.source.service.to_string(),
            tags: resource.attributes.iter().filter(|attribute| attribute.key != "service.name").map(tag).collect(),
        });
        (key, scope)
    }
}

fn open(record: &Record) -> (Resource, Option<InstrumentationScope>) {
    let envelope = record.source.open();
    let scope = envelope.scope_spans.into_iter().next().and_then(|scope| scope.scope);
    (envelope.resource.unwrap_or_default(), scope)
}

fn span(id: TraceId, record: &Record, process: String, scope: Option<&InstrumentationScope>, orphan: bool) -> Span {
    let span = record.open();
    let mut warnings = Vec::new();
    if orphan {
        warnings.push(format!("parent span {:016x} is not in this trace", record.parent));
    }
    if record.end < record.start {
        warnings.push("the span ends before it starts; its duration is shown as 0".to_owned());
    }
    Span {
        trace: id.to_string(),
        id: hex(&span.span_id),
        references: references(id, record.parent, &span.links),
        start: record.start / 1000,
        duration: record.duration() / 1000,
        tags: span_tags(&span, scope),
        logs: span.events.iter().map(|event| Log { timestamp: event.time_unix_nano / 1000, fields: log_fields(event) }).collect(),
        operation: span.name,
        process,
        warnings: (!warnings.is_empty()).then_some(warnings),
    }
}

fn references(id: TraceId, parent: u64, links: &[span::Link]) -> Vec<Reference> {
    let parent = (parent != 0).then(|| Reference { kind: "CHILD_OF", trace: id.to_string(), span: format!("{parent:016x}") });
    let links = links.iter().map(|link| Reference { kind: "FOLLOWS_FROM", trace: hex(&link.trace_id), span: hex(&link.span_id) });
    parent.into_iter().chain(links).collect()
}

/// Scope, attributes, then what Jaeger has no field for, in its translator's order.
fn span_tags(span: &OtlpSpan, scope: Option<&InstrumentationScope>) -> Vec<Tag> {
    let present = |key: &str, value: &str| (!value.is_empty()).then(|| Tag::text(key, value));
    let scope =
        scope.into_iter().flat_map(|scope| [present("otel.scope.name", &scope.name), present("otel.scope.version", &scope.version)]);
    let code = span.status.as_ref().map_or(StatusCode::Unset, opentelemetry_proto::tonic::trace::v1::Status::code);
    let code_text = match code {
        StatusCode::Unset => "",
        StatusCode::Ok => "OK",
        StatusCode::Error => "ERROR",
    };
    let error = Tag { key: "error".to_owned(), kind: "bool", value: Value::Bool(true) };
    let rest = [
        present("span.kind", kind_name(span.kind)),
        present("otel.status_code", code_text),
        (code == StatusCode::Error).then_some(error),
        present("otel.status_description", span.status.as_ref().map_or("", |status| &status.message)),
        present("w3c.tracestate", &span.trace_state),
    ];
    scope.flatten().chain(span.attributes.iter().map(tag)).chain(rest.into_iter().flatten()).collect()
}

fn log_fields(event: &span::Event) -> Vec<Tag> {
    let name = (!event.name.is_empty()).then(|| Tag::text("event", event.name.as_str()));
    name.into_iter().chain(event.attributes.iter().map(tag)).collect()
}

fn tag(attribute: &KeyValue) -> Tag {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let (kind, value) = match value {
        None | Some(Otlp::StringValueStrindex(_)) => ("string", Value::String(String::new())),
        Some(Otlp::StringValue(text)) => ("string", Value::String(text.clone())),
        Some(Otlp::BoolValue(flag)) => ("bool", Value::Bool(*flag)),
        Some(Otlp::IntValue(number)) if number.unsigned_abs() <= SAFE_INTEGER => ("int64", Value::from(*number)),
        Some(Otlp::IntValue(number)) => ("int64", Value::String(number.to_string())),
        Some(Otlp::DoubleValue(number)) => ("float64", float(*number)),
        Some(Otlp::BytesValue(bytes)) => ("binary", Value::String(STANDARD.encode(bytes))),
        Some(nested @ (Otlp::ArrayValue(_) | Otlp::KvlistValue(_))) => ("string", Value::String(plain(nested).to_string())),
    };
    Tag { key: attribute.key.clone(), kind, value }
}

fn float(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn plain(value: &Otlp) -> Value {
    let inner = |value: &AnyValue| value.value.as_ref().map_or(Value::Null, plain);
    match value {
        Otlp::StringValue(text) => Value::String(text.clone()),
        Otlp::BoolValue(flag) => Value::Bool(*flag),
        Otlp::IntValue(number) => Value::from(*number),
        Otlp::DoubleValue(number) => float(*number),
        Otlp::BytesValue(bytes) => Value::String(STANDARD.encode(bytes)),
        Otlp::ArrayValue(array) => array.values.iter().map(inner).collect(),
        Otlp::KvlistValue(list) => {
            let entries = list.values.iter();
            entries.map(|entry| (entry.key.clone(), entry.value.as_ref().map_or(Value::Null, inner))).collect()
        }
        Otlp::StringValueStrindex(_) => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
