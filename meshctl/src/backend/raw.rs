//! An export as it is taken in: its spans stay the bytes that they came as, and only what searches need is read of them.
//!
//! Spans come by the ten thousand a second and are looked at by the dozen. Decoding them whole and encoding them again cost more than all
//! else that the backend does with them. Field numbers:
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span},
};
use prost::{DecodeError, Message, bytes::Bytes};

/// `ExportTraceServiceRequest`, which `TracesData` looks like.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Export {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<OfResource>,
}

/// `ResourceSpans`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OfResource {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<OfScope>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// `ScopeSpans`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OfScope {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<InstrumentationScope>,
    /// Each an encoded `Span`.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) spans: Vec<Bytes>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// What of a `Span` is read at once.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Head {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) trace_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) span_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) parent_span_id: Bytes,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end_time_unix_nano: u64,
}

impl From<Vec<ResourceSpans>> for Export {
    /// For what did not come as protobuf.
    fn from(resource_spans: Vec<ResourceSpans>) -> Self {
        let encoded = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        Self::decode(Bytes::from(encoded)).unwrap_or_default()
    }
}

/// The whole of a stored span. What cannot be read of it, which OTLP's libraries do not write, is said in its status.
pub(crate) fn open(body: &[u8]) -> Span {
    Span::decode(body).unwrap_or_else(|error| headed(body, &error))
}

fn headed(body: &[u8], error: &DecodeError) -> Span {
    let head = Head::decode(body).unwrap_or_default();
    let message = format!("this span cannot be read: {error}");
    Span {
        trace_id: head.trace_id.to_vec(),
        span_id: head.span_id.to_vec(),
        parent_span_id: head.parent_span_id.to_vec(),
        name: head.name,
        kind: head.kind,
        start_time_unix_nano: head.start_time_unix_nano,
        end_time_unix_nano: head.end_time_unix_nano,
        status: Some(opentelemetry_proto::tonic::trace::v1::Status { message, code: 2 }),
        ..Span::default()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, KeyValue, any_value::Value},
        trace::v1::ScopeSpans,
    };

    use super::*;

    fn span() -> Span {
        let value = AnyValue { value: Some(Value::StringValue("v".into())) };
        Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "GET".into(),
            kind: 3,
            start_time_unix_nano: 5,
            end_time_unix_nano: 9,
            attributes: vec![KeyValue { key: "k".into(), value: Some(value), ..KeyValue::default() }],
            ..Span::default()
        }
    }

    #[test]
    fn a_span_stays_what_it_came_as_and_its_head_is_read() {
        let scope = InstrumentationScope { name: "scope".into(), ..InstrumentationScope::default() };
        let scoped = ScopeSpans { scope: Some(scope.clone()), spans: vec![span()], schema_url: "s".into() };
        let of_resource = ResourceSpans { resource: Some(Resource::default()), scope_spans: vec![scoped], schema_url: "r".into() };
        let export = Export::from(vec![of_resource]);
        let OfResource { resource, scope_spans, schema_url } = &export.resource_spans[0];
        assert_eq!((resource, schema_url.as_str(), &scope_spans[0].scope), (&Some(Resource::default()), "r", &Some(scope)));
        let body = &scope_spans[0].spans[0];
        assert_eq!(open(body), span());
        let head = Head::decode(body.clone()).unwrap();
        assert_eq!((head.trace_id.as_ref(), head.span_id.as_ref(), head.parent_span_id.as_ref()), (&[1; 16][..], &[2; 8][..], &[3; 8][..]));
        assert_eq!((head.name.as_str(), head.kind, head.start_time_unix_nano, head.end_time_unix_nano), ("GET", 3, 5, 9));
    }

    #[test]
    fn what_cannot_be_read_of_a_span_is_said() {
        let mut body = Span { attributes: Vec::new(), ..span() }.encode_to_vec();
        // an attribute of two bytes that are no KeyValue
        body.extend([9 << 3 | 2, 2, 0xff, 0xff]);
        let opened = open(&body);
        assert_eq!((opened.name.as_str(), opened.span_id.as_slice()), ("GET", &[2; 8][..]));
        let status = opened.status.unwrap();
        assert!(status.code == 2 && status.message.contains("cannot be read"), "{status:?}");
    }
}
