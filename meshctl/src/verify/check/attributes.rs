//! What spans carry.

use std::collections::HashMap;

use super::defect::{Defect, SpanRef};
use crate::{
    trace::{Span, Trace},
    verify::contract::{Graph, GraphNode},
};

/// Required attributes that are missing or empty, and values that are not what the contract's patterns say.
pub(super) fn defects(trace: &Trace, graph: &Graph, nodes: &HashMap<&str, usize>) -> Vec<Defect> {
    let known = trace.spans().iter().filter_map(|span| Some((span, &graph.nodes[*nodes.get(span.id.as_str())?])));
    known.flat_map(|(span, node)| missing(span, node).chain(invalid(span, node))).collect()
}

/// The attribute of the span, else of its process.
fn value(span: &Span, name: &str) -> Option<String> {
    let of_process = || span.resource.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    span.text(name).or_else(of_process).filter(|value| !value.is_empty())
}

fn missing<'a>(span: &'a Span, node: &'a GraphNode) -> impl Iterator<Item = Defect> {
    let lacking = node.require.iter().filter(|names| !names.iter().any(|name| value(span, name).is_some()));
    lacking.map(|names| Defect::MissingAttribute { node: node.node.id.clone(), span: SpanRef::of(span), attribute: names.to_string() })
}

fn invalid<'a>(span: &'a Span, node: &'a GraphNode) -> impl Iterator<Item = Defect> {
    let present = node.values.iter().filter_map(|(name, pattern)| Some((name, pattern, value(span, name)?)));
    present.filter(|(_, pattern, value)| !pattern.matches(value)).map(|(name, pattern, value)| Defect::BadValue {
        node: node.node.id.clone(),
        span: SpanRef::of(span),
        attribute: name.clone(),
        value,
        pattern: pattern.to_string(),
    })
}
