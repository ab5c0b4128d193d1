//! From OTLP, which Tempo answers, to our model.

use std::collections::BTreeMap;

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Otlp},
    resource::v1::Resource,
    trace::v1::{Span as OtlpSpan, TracesData, span::SpanKind, status::StatusCode},
};
use serde_json::Value;

use crate::{
    backend::id::TraceId,
    trace::{
        Kind, Span, Status, Trace,
        model::{Event, Link},
    },
};

/// Reads Tempo's JSON: OTLP/JSON, but with `batches` for `resourceSpans`, and in version 2 below `trace`. Ids may be in
/// hex, as OTLP has them, or in base64, as Tempo writes them.
pub(super) fn from_json(mut answer: Value) -> Result<TracesData> {
    if let Some(trace) = answer.get_mut("trace") {
        answer = trace.take();
    }
    let batches = ["batches", "resourceSpans"].iter().find_map(|key| answer.get_mut(key).map(Value::take)).unwrap_or_default();
    let mut data = serde_json::json!({ "resourceSpans": batches });
    ids_to_hex(&mut data);
    Ok(serde_json::from_value(data)?)
}

fn ids_to_hex(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(ids_to_hex),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(id) if ["traceId", "spanId", "parentSpanId"].contains(&key.as_str()) => {
                        let bytes = if [16, 32].contains(&id.len()) { None } else { STANDARD.decode(&*id).ok() };
                        if let Some(bytes) = bytes {
                            *id = hex(&bytes);
                        }
                    }
                    value => ids_to_hex(value),
                }
            }
        }
        _ => {}
    }
}

/// The spans of one trace.
pub(super) fn trace(id: TraceId, data: TracesData) -> Trace {
    let mut spans = Vec::new();
    for batch in data.resource_spans {
        let mut resource = attributes(&batch.resource.map_or_else(Vec::new, |Resource { attributes, .. }| attributes));
        let service = resource.remove("service.name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let all = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|one| span(one, &service, &resource)));
    }
    // a Tempo whose ingesters have the same span twice may say so twice
    spans.sort_by(|a: &Span, b: &Span| a.id.cmp(&b.id));
    spans.dedup_by(|a, b| a.id == b.id);
    Trace::new(id.to_string(), spans)
}

fn span(span: OtlpSpan, service: &str, resource: &BTreeMap<String, Value>) -> Span {
    let kind = kind(span.kind());
    let status = span.status.unwrap_or_default();
    let links = span.links.iter().map(|link| Link { trace: hex(&link.trace_id), span: hex(&link.span_id) });
    let events = span.events.iter().map(|event| {
        let mut attributes = attributes(&event.attributes);
        attributes.insert("event".to_owned(), Value::from(event.name.clone()));
        Event { time_us: event.time_unix_nano / 1000, attributes }
    });
    Span {
        id: hex(&span.span_id),
        parent: span.parent_span_id.iter().any(|byte| *byte != 0).then(|| hex(&span.parent_span_id)),
        links: links.collect(),
        service: service.to_owned(),
        instance: resource.get("service.instance.id").and_then(Value::as_str).map(str::to_owned),
        kind,
        status: match status.code() {
            StatusCode::Unset => Status::Unset,
            StatusCode::Ok => Status::Ok,
            StatusCode::Error => Status::Error,
        },
        status_message: Some(status.message).filter(|message| !message.is_empty()),
        start_us: span.start_time_unix_nano / 1000,
        duration_us: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000,
        attributes: attributes(&span.attributes),
        resource: resource.clone(),
        events: events.collect(),
        name: span.name,
    }
}

fn kind(kind: SpanKind) -> Kind {
    match kind {
        SpanKind::Unspecified => Kind::Unspecified,
        SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, Value> {
    list.iter().map(|attribute| (attribute.key.clone(), plain(attribute.value.as_ref()))).collect()
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Otlp::StringValueStrindex(_)) => Value::Null,
        Some(Otlp::StringValue(text)) => Value::from(text.as_str()),
        Some(Otlp::BoolValue(flag)) => Value::from(*flag),
        Some(Otlp::IntValue(number)) => Value::from(*number),
        Some(Otlp::DoubleValue(number)) => Value::from(*number),
        Some(Otlp::BytesValue(bytes)) => Value::from(STANDARD.encode(bytes)),
        Some(Otlp::ArrayValue(array)) => array.values.iter().map(|value| plain(Some(value))).collect(),
        Some(Otlp::KvlistValue(list)) => attributes(&list.values).into_iter().collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_in_hex_and_in_base64_are_the_same_trace() {
        let answer = |trace: &str, span: &str, parent: &str| {
            json!({ "batches": [{
                "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
                "scopeSpans": [{ "spans": [{
                    "traceId": trace, "spanId": span, "parentSpanId": parent, "name": "pay", "kind": 3,
                    "startTimeUnixNano": "2000", "endTimeUnixNano": "5000",
                    "attributes": [{ "key": "n", "value": { "intValue": "7" } }],
                }] }],
            }] })
        };
        let id: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        let hex = answer("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", "00f067aa0ba902b8");
        let base64 = answer("CvdlGRbNQ92ESOshHIAxnA==", "APBnqgupArc=", "APBnqgupArg=");
        let hex = trace(id, from_json(hex).unwrap());
        assert_eq!(hex, trace(id, from_json(base64).unwrap()));
        let span = &hex.spans()[0];
        assert_eq!((span.id.as_str(), span.parent.as_deref()), ("00f067aa0ba902b7", Some("00f067aa0ba902b8")));
        assert_eq!((span.service.as_str(), span.kind, span.start_us, span.duration_us), ("shop", Kind::Client, 2, 3));
        assert_eq!(span.text("n").as_deref(), Some("7"));
        let version_2 = json!({ "trace": { "resourceSpans": [] } });
        assert!(trace(id, from_json(version_2).unwrap()).spans().is_empty());
    }
}
