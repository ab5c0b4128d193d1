//! Compares a trace with the graph that its contract expects. Pure: no clock, no network.

pub mod defect;

mod assign;
mod attributes;
mod missing;
mod parents;

use std::collections::HashMap;

pub use self::defect::{Defect, SpanRef};
use super::contract::Graph;
use crate::trace::Trace;

/// What the check found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Everything that is not as the contract wants it; a trace without any is complete.
    pub defects: Vec<Defect>,
    /// How many spans there are of each node.
    pub found: Vec<usize>,
    /// Nodes of which a trace like this one must have spans.
    pub due: Vec<bool>,
    /// The node of each span, by span id.
    pub nodes: HashMap<String, usize>,
}

impl Verdict {
    /// Whether there is nothing to complain of.
    pub fn complete(&self) -> bool {
        self.defects.is_empty()
    }

    /// Whether spans that are still on their way could mend it.
    pub fn may_heal(&self) -> bool {
        self.defects.iter().any(|defect| matches!(defect, Defect::MissingSpan { .. } | Defect::Orphan { .. }))
    }

    /// Whether the spans of a node are all there, each under its parent.
    pub fn edge_holds(&self, id: &str) -> bool {
        !self.defects.iter().any(|defect| defect.breaks_edge_to(id))
    }
}

/// Whose trace it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Sent this span id as parent; its span is in no trace.
    Known(&'a str),
    /// Nobody knows: the first span may have no parent, or one that is not there.
    Unknown,
}

/// Checks `trace` against `graph`. Defects come in the order: missing, surplus, parents, clocks, roots, attributes.
pub fn check(trace: &Trace, graph: &Graph, caller: Caller<'_>) -> Verdict {
    let nodes = assign::nodes(trace, graph);
    let mut found = vec![0; graph.nodes.len()];
    for node in nodes.values() {
        found[*node] += 1;
    }
    let due = missing::due(graph, &found);
    let mut defects = missing::missing(graph, &found, &due);
    defects.extend(missing::surplus(trace, graph, &nodes));
    defects.extend(parents::defects(trace, graph, &nodes, caller));
    defects.extend(attributes::defects(trace, graph, &nodes));
    Verdict { defects, found, due, nodes: nodes.into_iter().map(|(span, node)| (span.to_owned(), node)).collect() }
}

#[cfg(test)]
mod tests;
