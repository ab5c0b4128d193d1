//! A contract in one mode, put together for checking.

use std::collections::BTreeSet;

use super::{By, CALLER, Contract, Convention, Count, Names, Node, Pattern};
use crate::trace::{Span, SpanFilter};

/// The expected spans and their parents.
#[derive(Debug, Clone)]
pub struct Graph {
    /// In the order of the file.
    pub nodes: Vec<GraphNode>,
    /// Whether spans that match no node are fine.
    pub other_spans: bool,
    /// How much earlier than its parent a child may start, in microseconds.
    pub clock_tolerance_us: u64,
}

/// One expected span, or several alike.
#[derive(Debug, Clone)]
pub struct GraphNode {
    /// As the file has it.
    pub node: Node,
    /// How many there are in this mode.
    pub count: Count,
    /// Under whom it may be; never empty.
    pub parents: Vec<Parent>,
    /// The node's required attributes and those of the conventions that apply.
    pub require: Vec<Names>,
    /// The node's patterns and those of the conventions that apply.
    pub values: Vec<(String, Pattern)>,
    filter: SpanFilter,
}

/// A permitted parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Index of the node; none is the caller.
    pub node: Option<usize>,
    /// How the child names it.
    pub by: By,
}

impl Graph {
    /// `contract` in `mode`, which it knows.
    pub(super) fn new(contract: &Contract, mode: &str) -> Self {
        let nodes = contract.nodes.iter().map(|node| GraphNode::new(contract, node, mode)).collect();
        Self {
            nodes,
            other_spans: contract.other_spans.iter().any(|allowed| allowed == mode),
            clock_tolerance_us: microseconds(contract.clock_tolerance_ms),
        }
    }

    /// A node's name; that of the caller for none.
    pub fn id(&self, node: Option<usize>) -> &str {
        node.map_or(CALLER, |node| &self.nodes[node].node.id)
    }

    /// The edge to a node from its first parent, in words.
    pub fn edge(&self, node: usize) -> String {
        let parent = self.nodes[node].parents.first().and_then(|parent| parent.node);
        format!("{} → {}", self.id(parent), self.id(Some(node)))
    }

    /// The nodes that a span could be of.
    pub fn candidates(&self, span: &Span) -> Vec<usize> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.matches(span)).map(|(place, _)| place).collect()
    }
}

impl GraphNode {
    fn new(contract: &Contract, node: &Node, mode: &str) -> Self {
        let place = |id: &str| contract.nodes.iter().position(|node| node.id == id);
        let here = |modes: &[String]| modes.is_empty() || modes.iter().any(|one| one == mode);
        let edges = contract.edges.iter().filter(|edge| edge.to == node.id && here(&edge.modes));
        let applying: Vec<&Convention> = contract.conventions.iter().filter(|convention| applies(convention, node)).collect();
        let require: BTreeSet<&Names> = applying.iter().flat_map(|convention| &convention.require).chain(&node.require).collect();
        let values = applying.iter().flat_map(|convention| &convention.values).chain(&node.values);
        let optional = node.optional.iter().any(|one| one == mode);
        Self {
            count: if optional { Count { min: 0, ..node.count } } else { node.count },
            parents: edges.map(|edge| Parent { node: place(&edge.from), by: edge.by }).collect(),
            require: require.into_iter().cloned().collect(),
            values: values.map(|(name, pattern)| (name.clone(), pattern.clone())).collect(),
            filter: filter(node),
            node: node.clone(),
        }
    }

    /// Whether a span is one of these, as far as it tells itself.
    pub fn matches(&self, span: &Span) -> bool {
        self.filter.matches(span) && self.node.name_pattern.as_ref().is_none_or(|pattern| pattern.matches(&span.name))
    }

    /// Kind, protocol and service in words.
    pub fn description(&self) -> String {
        let kind = format!("{:?}", self.node.kind).to_lowercase();
        let protocol = self.node.protocol.map(|protocol| format!(" {protocol}")).unwrap_or_default();
        format!("{} {kind}{protocol}", self.node.service)
    }
}

fn applies(convention: &Convention, node: &Node) -> bool {
    convention.kind.is_none_or(|kind| kind == node.kind) && convention.protocol.is_none_or(|protocol| Some(protocol) == node.protocol)
}

fn filter(node: &Node) -> SpanFilter {
    let mut filter = SpanFilter::service(&node.service).kind(node.kind);
    if let Some(protocol) = node.protocol {
        filter = filter.protocol(protocol);
    }
    if let Some(name) = &node.name {
        filter = filter.name(name);
    }
    node.matching.iter().fold(filter, |filter, (key, value)| filter.attribute(key, value))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be finite and not negative; casts saturate")]
fn microseconds(milliseconds: f64) -> u64 {
    (milliseconds * 1e3) as u64
}
