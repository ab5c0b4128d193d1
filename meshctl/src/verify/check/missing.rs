//! Spans that should be there, and spans that should not.

use std::collections::HashMap;

use super::defect::{Defect, SpanRef};
use crate::{
    trace::Trace,
    verify::contract::{By, Graph},
};

/// Nodes of which there must be spans: those with a minimum, unless all that they hang under is optional and absent.
pub(super) fn due(graph: &Graph, found: &[usize]) -> Vec<bool> {
    let mut due: Vec<bool> = graph.nodes.iter().map(|node| node.count.min > 0).collect();
    loop {
        let idle = |node: usize| {
            let present = |parent: Option<usize>| parent.is_none_or(|parent| due[parent] || found[parent] > 0);
            due[node] && !graph.nodes[node].parents.iter().any(|parent| present(parent.node))
        };
        let Some(node) = (0..due.len()).find(|node| idle(*node)) else { return due };
        due[node] = false;
    }
}

/// One defect a node that lacks spans; `cut` is the edge at which the tree breaks off.
pub(super) fn missing(graph: &Graph, found: &[usize], due: &[bool]) -> Vec<Defect> {
    let lacks = |node: usize| due[node] && found[node] < graph.nodes[node].count.min;
    let defect = |node: usize| Defect::MissingSpan {
        node: graph.id(Some(node)).to_owned(),
        what: graph.nodes[node].description(),
        kind: graph.nodes[node].node.kind,
        protocol: graph.nodes[node].node.protocol,
        edge: graph.edge(node),
        expected: graph.nodes[node].count.min,
        found: found[node],
        cut: graph.edge(top(graph, found, due, node)),
    };
    (0..graph.nodes.len()).filter(|node| lacks(*node)).map(defect).collect()
}

/// The topmost of the wholly missing nodes above `node`.
fn top(graph: &Graph, found: &[usize], due: &[bool], node: usize) -> usize {
    let mut top = node;
    // a contract has no circle above a node, but for the length of the way up
    for _ in 0..graph.nodes.len() {
        let parent = graph.nodes[top].parents.iter().find_map(|parent| parent.node.filter(|_| parent.by != By::Link));
        match parent.filter(|parent| found[*parent] == 0 && due[*parent]) {
            Some(parent) => top = parent,
            None => break,
        }
    }
    top
}

/// Spans of no node, where the contract wants none, and those above a node's count, the latest of them.
pub(super) fn surplus(trace: &Trace, graph: &Graph, nodes: &HashMap<&str, usize>) -> Vec<Defect> {
    let mut taken = vec![0; graph.nodes.len()];
    let mut defects = Vec::new();
    for span in trace.spans() {
        let node = nodes.get(span.id.as_str()).copied();
        let Some(place) = node else {
            if !graph.other_spans {
                defects.push(Defect::SurplusSpan { node: None, span: SpanRef::of(span), allowed: None });
            }
            continue;
        };
        taken[place] += 1;
        let allowed = graph.nodes[place].count.max;
        if allowed.is_some_and(|max| taken[place] > max) {
            defects.push(Defect::SurplusSpan { node: Some(graph.id(node).to_owned()), span: SpanRef::of(span), allowed });
        }
    }
    defects
}
