//! Spans as OTLP writes them, straight from the SDK's data: `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`.
//! <https://github.com/open-telemetry/opentelemetry-proto>, version 1.
//!
//! Spans are most of what a traced process allocates. Going through generated messages would copy each key and value twice
//! more; a test holds what is written here against those messages.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, Key, KeyValue, SpanId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status},
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`
const HAS_IS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`
const IS_REMOTE: u32 = 0x200;

/// One request with all of `spans`, in their order.
pub(super) fn request(resource: &Resource, spans: &[SpanData]) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(512 + spans.len() * 640));
    out.message(1, |resource_spans| {
        resource_spans.message(1, |described| resource.iter().for_each(|(key, value)| described.attribute(1, key, value)));
        for same_scope in spans.chunk_by(|one, other| one.instrumentation_scope == other.instrumentation_scope) {
            resource_spans.message(2, |scope_spans| scope_spans.scope_spans(&same_scope[0].instrumentation_scope, same_scope));
        }
        resource_spans.text(3, resource.schema_url().unwrap_or_default());
    });
    out.0
}

struct Out(Vec<u8>);

impl Out {
    fn scope_spans(&mut self, scope: &InstrumentationScope, spans: &[SpanData]) {
        self.message(1, |described| {
            described.text(1, scope.name());
            described.text(2, scope.version().unwrap_or_default());
            scope.attributes().for_each(|attribute| described.key_value(3, attribute));
        });
        for span in spans {
            self.message(2, |out| out.span(span));
        }
        self.text(3, scope.schema_url().unwrap_or_default());
    }

    fn span(&mut self, span: &SpanData) {
        self.ids(&span.span_context);
        if span.parent_span_id != SpanId::INVALID {
            self.bytes(4, &span.parent_span_id.to_bytes());
        }
        self.text(5, &span.name);
        self.number(6, kind(&span.span_kind));
        self.fixed64(7, nanoseconds(span.start_time));
        self.fixed64(8, nanoseconds(span.end_time));
        span.attributes.iter().for_each(|attribute| self.key_value(9, attribute));
        self.number(10, span.dropped_attributes_count.into());
        span.events.events.iter().for_each(|event| self.message(11, |out| out.event(event)));
        self.number(12, span.events.dropped_count.into());
        span.links.links.iter().for_each(|link| self.message(13, |out| out.link(link)));
        self.number(14, span.links.dropped_count.into());
        self.message(15, |out| out.status(&span.status));
        self.flags(16, &span.span_context, span.parent_span_is_remote);
    }

    /// Fields 1 to 3 of spans and of links.
    fn ids(&mut self, context: &SpanContext) {
        self.bytes(1, &context.trace_id().to_bytes());
        self.bytes(2, &context.span_id().to_bytes());
        self.text(3, &context.trace_state().header());
    }

    fn flags(&mut self, tag: u32, context: &SpanContext, is_remote: bool) {
        let remote = if is_remote { IS_REMOTE } else { 0 };
        encode_key(tag, WireType::ThirtyTwoBit, &mut self.0);
        self.0.extend_from_slice(&(u32::from(context.trace_flags().to_u8()) | HAS_IS_REMOTE | remote).to_le_bytes());
    }

    fn event(&mut self, event: &Event) {
        self.fixed64(1, nanoseconds(event.timestamp));
        self.text(2, &event.name);
        event.attributes.iter().for_each(|attribute| self.key_value(3, attribute));
        self.number(4, event.dropped_attributes_count.into());
    }

    fn link(&mut self, link: &Link) {
        self.ids(&link.span_context);
        link.attributes.iter().for_each(|attribute| self.key_value(4, attribute));
        self.number(5, link.dropped_attributes_count.into());
        self.flags(6, &link.span_context, link.span_context.is_remote());
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Unset => {}
            Status::Ok => self.number(3, 1),
            Status::Error { description } => {
                self.text(2, description);
                self.number(3, 2);
            }
        }
    }

    fn key_value(&mut self, tag: u32, attribute: &KeyValue) {
        self.attribute(tag, &attribute.key, &attribute.value);
    }

    fn attribute(&mut self, tag: u32, key: &Key, value: &Value) {
        self.message(tag, |out| {
            out.text(1, key.as_str());
            out.message(2, |out| out.value(value));
        });
    }

    /// A member of a `oneof` is written even where it is empty or zero.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.bytes(1, text.as_str().as_bytes()),
            Value::Bool(yes) => self.varint(2, u64::from(*yes)),
            Value::I64(number) => self.varint(3, number.cast_unsigned()),
            Value::F64(number) => self.fixed64(4, number.to_bits()),
            Value::Array(array) => self.message(5, |out| out.array(array)),
            other => self.bytes(1, other.to_string().as_bytes()),
        }
    }

    fn array(&mut self, array: &Array) {
        match array {
            Array::Bool(all) => all.iter().for_each(|one| self.message(1, |out| out.value(&Value::Bool(*one)))),
            Array::I64(all) => all.iter().for_each(|one| self.message(1, |out| out.value(&Value::I64(*one)))),
            Array::F64(all) => all.iter().for_each(|one| self.message(1, |out| out.value(&Value::F64(*one)))),
            Array::String(all) => all.iter().for_each(|one| self.message(1, |out| out.value(&Value::String(one.clone())))),
            other => self.message(1, |out| out.bytes(1, other.to_string().as_bytes())),
        }
    }

    /// A message within this one. Its length comes first and is known last: what follows moves where it takes more than a byte.
    fn message(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        let begin = self.0.len();
        self.0.push(0);
        write(self);
        let length = (self.0.len() - begin - 1) as u64;
        let more = encoded_len_varint(length) - 1;
        let end = self.0.len();
        self.0.resize(end + more, 0);
        self.0.copy_within(begin + 1..end, begin + 1 + more);
        encode_varint(length, &mut &mut self.0[begin..=begin + more]);
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn varint(&mut self, tag: u32, number: u64) {
        encode_key(tag, WireType::Varint, &mut self.0);
        encode_varint(number, &mut self.0);
    }

    fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.varint(tag, number);
        }
    }

    fn fixed64(&mut self, tag: u32, number: u64) {
        encode_key(tag, WireType::SixtyFourBit, &mut self.0);
        self.0.extend_from_slice(&number.to_le_bytes());
    }
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::{TraceFlags, TraceId, trace::TraceState};
    use opentelemetry_proto::{
        tonic::collector::trace::v1::ExportTraceServiceRequest,
        transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use prost::Message;

    use super::*;

    fn context(trace: u128, span: u64, remote: bool) -> SpanContext {
        let state = TraceState::from_key_value([("vendor", "opaque")]).unwrap();
        SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, remote, state)
    }

    fn values() -> Vec<KeyValue> {
        vec![
            KeyValue::new("text", "a text"),
            KeyValue::new("empty", ""),
            KeyValue::new("long", "x".repeat(20_000)),
            KeyValue::new("yes", true),
            KeyValue::new("no", false),
            KeyValue::new("zero", 0),
            KeyValue::new("negative", -1),
            KeyValue::new("many", i64::MAX),
            KeyValue::new("part", 0.5),
            KeyValue::new("bools", Value::Array(vec![true, false].into())),
            KeyValue::new("numbers", Value::Array(vec![1, -2].into())),
            KeyValue::new("parts", Value::Array(vec![1.5, -2.5].into())),
            KeyValue::new("texts", Value::Array(vec![opentelemetry::StringValue::from("a"), "".into()].into())),
        ]
    }

    fn span(kind: SpanKind, status: Status, scope: &InstrumentationScope) -> SpanData {
        let time = UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789);
        let (mut events, mut links) = (SpanEvents::default(), SpanLinks::default());
        events.events.push(Event::new("retry", time, values(), 1));
        events.dropped_count = 2;
        links.links.push(Link::new(context(7, 8, true), values(), 3));
        links.links.push(Link::with_context(context(9, 10, false)));
        links.dropped_count = 4;
        SpanData {
            span_context: context(1, 2, false),
            parent_span_id: SpanId::from(3),
            parent_span_is_remote: true,
            span_kind: kind,
            name: "GET /api/v1/products/{id}".into(),
            start_time: time,
            end_time: time + Duration::from_millis(5),
            attributes: values(),
            dropped_attributes_count: 5,
            events,
            links,
            status,
            instrumentation_scope: scope.clone(),
        }
    }

    #[test]
    fn what_is_written_is_what_the_generated_messages_say() {
        let scopes = [
            InstrumentationScope::builder("throughline")
                .with_version("1")
                .with_schema_url("https://example.org/1")
                .with_attributes(values())
                .build(),
            InstrumentationScope::builder("other").build(),
        ];
        let mut spans = vec![
            span(SpanKind::Server, Status::Unset, &scopes[0]),
            span(SpanKind::Client, Status::error("refused"), &scopes[0]),
            span(SpanKind::Producer, Status::Ok, &scopes[0]),
            span(SpanKind::Consumer, Status::error(""), &scopes[1]),
            span(SpanKind::Internal, Status::Unset, &scopes[1]),
        ];
        spans[0].parent_span_id = SpanId::INVALID;
        spans[0].parent_span_is_remote = false;
        for resource in [
            Resource::builder_empty().with_attributes(values()).build(),
            Resource::builder_empty().with_schema_url([KeyValue::new("a", "b")], "https://example.org/2").build(),
        ] {
            let written = ExportTraceServiceRequest::decode(request(&resource, &spans).as_slice()).unwrap();
            let attributes = ResourceAttributesWithSchema::from(&resource);
            let expected = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans.clone(), &attributes) };
            assert_eq!(written, expected);
        }
    }
}
