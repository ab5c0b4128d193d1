//! What the store keeps of a span, and what it costs.
//!
//! A span is kept as the protobuf encoding that it came as, which takes about a quarter of the memory of the decoded form
//! and makes the estimate of its size an honest one; the few fields which searches need lie decoded beside it.

use std::{mem::size_of, sync::Arc};

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::{Message as _, bytes::Bytes};

use super::{
    id::{TraceId, span_id},
    raw::{self, Head},
};

/// What the heap adds to an allocation of its own: the allocator's header, and the counters of an `Arc`.
const ALLOCATION: usize = 32;

/// The service name of a resource that has none, as in Jaeger's translation of OTLP.
const NO_SERVICE_NAME: &str = "OTLPResourceNoServiceName";

/// Where spans come from: one resource (a process) and one instrumentation scope in it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The resource's `service.name`.
    pub(crate) service: Arc<str>,
    envelope: Arc<[u8]>,
}

impl Source {
    /// Makes a source of an encoded `ResourceSpans` that holds one scope and no span.
    pub(crate) fn new(envelope: Arc<[u8]>, service: Arc<str>) -> Self {
        Self { service, envelope }
    }

    /// The encoding; equal sources have equal ones.
    pub(crate) fn envelope(&self) -> &Arc<[u8]> {
        &self.envelope
    }

    /// Decodes the resource and the scope, ready to take spans.
    pub(crate) fn open(&self) -> ResourceSpans {
        ResourceSpans::decode(&*self.envelope).unwrap_or_default()
    }

    /// Bytes that one source takes in the store.
    pub(crate) fn cost(&self) -> usize {
        // the entry in the map of sources: a key, a reference and a counter, at the usual load of a hash map
        self.envelope.len() + size_of::<Self>() + 2 * ALLOCATION + 64
    }
}

/// The encoded form of a resource and a scope, which identifies a [`Source`], and its service name.
pub(crate) fn envelope(
    resource: Option<&Resource>,
    resource_schema: &str,
    scope: Option<InstrumentationScope>,
    scope_schema: String,
) -> (Vec<u8>, String) {
    let service = resource
        .and_then(|resource| resource.attributes.iter().find(|attribute| attribute.key == "service.name"))
        .and_then(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) if !name.is_empty() => Some(name.clone()),
            _ => None,
        })
        .unwrap_or_else(|| NO_SERVICE_NAME.to_owned());
    let empty = ResourceSpans {
        resource: resource.cloned(),
        scope_spans: vec![ScopeSpans { scope, spans: Vec::new(), schema_url: scope_schema }],
        schema_url: resource_schema.to_owned(),
    };
    (empty.encode_to_vec(), service)
}

/// A span on its way into the store, read before the store is locked.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) trace: TraceId,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: i32,
    pub(crate) name: String,
    pub(crate) body: Arc<[u8]>,
}

impl Incoming {
    /// `None` where the trace id or the span id is missing, of the wrong length or zero, which OTLP calls an invalid span; or
    /// where it is none at all.
    pub(crate) fn new(body: &Bytes) -> Option<Self> {
        let head = Head::decode(body.clone()).ok()?;
        Some(Self {
            trace: TraceId::from_bytes(&head.trace_id)?,
            id: span_id(&head.span_id)?,
            parent: span_id(&head.parent_span_id).unwrap_or(0),
            start: head.start_time_unix_nano,
            end: head.end_time_unix_nano,
            kind: head.kind,
            // a copy: what came around it need not be kept
            body: body.as_ref().into(),
            name: head.name,
        })
    }
}

/// A stored span. Times are nanoseconds since the Unix epoch; `parent` is 0 where there is none.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: i32,
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<Source>,
    pub(crate) body: Arc<[u8]>,
}

impl Record {
    /// Decodes the whole span.
    pub(crate) fn open(&self) -> Span {
        raw::open(&self.body)
    }

    /// How long the span took, in nanoseconds; 0 where it ends before it starts.
    pub(crate) fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Bytes that this span takes in the store. Nodes of the trace's ordered map are two thirds full on average.
    pub(crate) fn cost(&self) -> usize {
        self.body.len() + ALLOCATION + (size_of::<Self>() + size_of::<u64>()) * 3 / 2
    }
}

/// A trace taken out of the store by reference: span id and span, in order of start time.
pub(crate) type Snapshot = Vec<(u64, Record)>;
