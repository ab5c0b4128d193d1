//! Spans of one order as its contract expects them, to be broken by tests.

use std::collections::BTreeMap;

use clap::Parser;
use meshctl::{
    backend::{Backend, BackendArgs, RunningBackend},
    trace::Kind,
    verify::{
        Contract,
        contract::{Graph, GraphNode},
    },
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Otlp},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};

/// 2026-11-21 00:00:00 UTC in nanoseconds.
const EPOCH: u64 = 1_795_219_200_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
/// The span id of whoever sends a request.
pub(crate) const CALLER: &str = "00f067aa0ba902b7";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BackendArgs,
}

/// A trace backend on free ports.
pub(crate) async fn backend() -> RunningBackend {
    let ports = ["--page-address", "--otlp-grpc", "--otlp-http"].map(|option| format!("{option}=127.0.0.1:0"));
    Backend::start(Line::parse_from(["backend".to_owned()].into_iter().chain(ports)).args).await.unwrap()
}

/// What a span carries as an attribute, where the contract does not say it by `match`.
fn sample(name: &str, span: &GraphNode) -> &'static str {
    match name {
        "http.request.method" => "POST",
        "http.route" | "url.path" => "/api/v1/orders",
        "url.scheme" => "http",
        "http.response.status_code" => "201",
        "rpc.system.name" => "grpc",
        "rpc.response.status_code" => "OK",
        "server.address" => "127.0.0.1",
        "server.port" => "5432",
        "db.system.name" if span.node.protocol.is_some_and(|protocol| protocol.to_string() == "Redis") => "redis",
        "db.system.name" => "postgresql",
        "db.namespace" => "throughline",
        "db.operation.name" => "INSERT",
        "db.query.summary" => "SELECT orders.stock INSERT orders.outbox",
        "db.query.text" => "INSERT INTO t (a) VALUES ($1)",
        "messaging.system" => "kafka",
        "messaging.operation.type" if span.node.kind == Kind::Producer => "send",
        "messaging.operation.type" => "process",
        "messaging.kafka.message.key" => "01a1fd7d-15ab-7043-9c8f-0c89734c4bdc",
        "messaging.destination.partition.id" | "messaging.kafka.offset" => "2",
        "messaging.consumer.group.name" => "group",
        "throughline.consumer.attempts" => "1",
        "throughline.consumer.outcome" => "processed",
        other => panic!("the contract asks for {other}: add a sample"),
    }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Otlp::StringValue(value.to_owned())) }), ..KeyValue::default() }
}

/// A span and the node that it is.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) node: String,
    pub(crate) service: String,
    pub(crate) span: Span,
}

/// The spans of one trace.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) spans: Vec<Made>,
}

impl Story {
    /// One span of each node that a trace must have. Children begin a millisecond after their parents.
    pub(crate) fn of(graph: &Graph, trace: u128, caller: &str) -> Self {
        let mut story = Self { spans: Vec::new() };
        let mut waiting: Vec<(Option<usize>, Vec<u8>, u64)> = vec![(None, hex(caller), 0)];
        while let Some((parent, parent_id, depth)) = waiting.pop() {
            let below = graph.nodes.iter().enumerate().filter(|(_, node)| node.count.min > 0 && node.parents[0].node == parent);
            for (place, node) in below {
                let id = u64::try_from(place + 1).unwrap().to_be_bytes().to_vec();
                story.spans.push(made(node, trace, id.clone(), parent_id.clone(), depth));
                waiting.push((Some(place), id, depth + 1));
            }
        }
        story
    }

    /// The first span of a node.
    pub(crate) fn get(&mut self, node: &str) -> &mut Span {
        &mut self.spans.iter_mut().find(|made| made.node == node).unwrap_or_else(|| panic!("no {node}")).span
    }

    /// Takes the spans out that are to go.
    pub(crate) fn drop(&mut self, gone: impl Fn(&Made) -> bool) {
        let before = self.spans.len();
        self.spans.retain(|made| !gone(made));
        assert!(self.spans.len() < before, "nothing was dropped");
    }

    /// The nodes of a span and of all below it.
    pub(crate) fn below(&mut self, node: &str) -> Vec<String> {
        let mut ids = vec![self.get(node).span_id.clone()];
        let mut nodes = vec![node.to_owned()];
        while let Some(id) = ids.pop() {
            for made in self.spans.iter().filter(|made| made.span.parent_span_id == id) {
                ids.push(made.span.span_id.clone());
                nodes.push(made.node.clone());
            }
        }
        nodes
    }

    /// Sets an attribute of a node's first span.
    pub(crate) fn set(&mut self, node: &str, key: &str, value: &str) {
        let span = self.get(node);
        span.attributes.retain(|attribute| attribute.key != key);
        span.attributes.push(text(key, value));
    }

    /// As exporters send it: the spans of each service by themselves.
    pub(crate) fn batches(&self) -> Vec<ResourceSpans> {
        let mut services: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        for made in &self.spans {
            services.entry(&made.service).or_default().push(made.span.clone());
        }
        let batch = |(service, spans)| ResourceSpans {
            resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        services.into_iter().map(batch).collect()
    }
}

/// The order's trace as our contract expects it.
pub(crate) fn order(trace: u128) -> Story {
    Story::of(&graph(), trace, CALLER)
}

pub(crate) fn graph() -> Graph {
    Contract::order().unwrap().graph(None).unwrap()
}

fn made(node: &GraphNode, trace: u128, id: Vec<u8>, parent: Vec<u8>, depth: u64) -> Made {
    let mut attributes: BTreeMap<&str, &str> = node.node.matching.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let required = node.require.iter().filter_map(|names| names.iter().next());
    for name in required.chain(node.values.iter().map(|(name, _)| name.as_str()).filter(|name| !former(name))) {
        attributes.entry(name).or_insert_with(|| sample(name, node));
    }
    let start = EPOCH + depth * MS;
    let span = Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id,
        parent_span_id: parent,
        name: node.node.name.clone().unwrap_or_else(|| node.node.id.clone()),
        kind: match node.node.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal | Kind::Unspecified => SpanKind::Internal,
        }
        .into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 20 * MS,
        attributes: attributes.into_iter().map(|(key, value)| text(key, value)).collect(),
        ..Span::default()
    };
    Made { node: node.node.id.clone(), service: node.node.service.clone(), span }
}

/// Names of the time before the conventions were stable, of which the contract only says what they would look like.
fn former(name: &str) -> bool {
    name == "rpc.grpc.status_code"
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}
