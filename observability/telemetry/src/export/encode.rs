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
use prost::{
    bytes::Bytes,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`
const HAS_IS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`
const IS_REMOTE: u32 = 0x200;

/// A span as a member of `ScopeSpans`, without its tag and length.
pub(super) fn span(span: &SpanData) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(1024));
    out.span(span);
    out.0
}

/// Adds a message's tag and length to what goes before it.
pub(super) fn frame(tag: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// A request around spans that are encoded and framed already, in pieces; `scopes` tells where in `spans` those of each end.
pub(super) fn request(resource: &Resource, scopes: &[(InstrumentationScope, usize)], spans: &Bytes) -> Vec<Bytes> {
    let mut described = Out::default();
    described.message(1, |out| resource.iter().for_each(|(key, value)| out.attribute(1, key, value)));
    let mut pieces = vec![Bytes::from(described.0)];
    let mut begin = 0;
    for (scope, end) in scopes {
        let (mut before, mut after) = (Out::default(), Out::default());
        before.message(1, |out| out.scope(scope));
        after.text(3, scope.schema_url().unwrap_or_default());
        let mut head = Vec::new();
        frame(2, before.0.len() + (end - begin) + after.0.len(), &mut head);
        head.append(&mut before.0);
        pieces.extend([head.into(), spans.slice(begin..*end), after.0.into()]);
        begin = *end;
    }
    let mut after = Out::default();
    after.text(3, resource.schema_url().unwrap_or_default());
    pieces.push(after.0.into());
    let mut head = Vec::new();
    frame(1, pieces.iter().map(Bytes::len).sum(), &mut head);
    pieces.insert(0, head.into());
    pieces
}

#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn scope(&mut self, scope: &InstrumentationScope) {
        self.text(1, scope.name());
        self.text(2, scope.version().unwrap_or_default());
        scope.attributes().for_each(|attribute| self.key_value(3, attribute));
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

    /// Nearly all of a span are these: where the length of the value is known, nothing is moved for it.
    fn attribute(&mut self, tag: u32, key: &Key, value: &Value) {
        let key = key.as_str();
        let Some(length) = scalar_length(value).filter(|_| !key.is_empty()) else {
            return self.message(tag, |out| {
                out.text(1, key);
                out.message(2, |out| out.value(value));
            });
        };
        frame(tag, field_length(key.len()) + field_length(length), &mut self.0);
        self.bytes(1, key.as_bytes());
        frame(2, length, &mut self.0);
        self.value(value);
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
        if more > 0 {
            let end = self.0.len();
            self.0.resize(end + more, 0);
            self.0.copy_within(begin + 1..end, begin + 1 + more);
        }
        encode_varint(length, &mut &mut self.0[begin..=begin + more]);
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        frame(tag, bytes.len(), &mut self.0);
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

/// The length of a field with a tag below 16, its tag and length included.
fn field_length(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// What [`Out::value`] writes, where that is one field.
fn scalar_length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(field_length(text.as_str().len())),
        Value::Bool(_) => Some(2),
        Value::I64(number) => Some(1 + encoded_len_varint(number.cast_unsigned())),
        Value::F64(_) => Some(9),
        _ => None,
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
mod tests;
