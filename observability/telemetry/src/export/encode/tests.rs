//! What is written here against the generated messages.

use std::time::Duration;

use opentelemetry::{TraceFlags, TraceId, trace::TraceState};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use prost::Message;

use super::*;
use crate::export::queue::Batch;

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

fn together(resource: &Resource, spans: &[SpanData]) -> Vec<u8> {
    let mut batch = Batch::default();
    for data in spans {
        batch.push(&data.instrumentation_scope, &super::span(data));
    }
    request(resource, &batch.scopes, &batch.bytes.into()).concat()
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
        let written = ExportTraceServiceRequest::decode(together(&resource, &spans).as_slice()).unwrap();
        let attributes = ResourceAttributesWithSchema::from(&resource);
        let expected = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans.clone(), &attributes) };
        assert_eq!(written, expected);
    }
}
