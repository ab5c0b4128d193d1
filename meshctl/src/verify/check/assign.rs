//! Which span is which node.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    trace::{Span, Trace},
    verify::contract::Graph,
};

/// The node of each span that is one, by span id.
///
/// Most spans tell themselves what they are. Where several nodes look alike, the one whose parent is this span's parent
/// is taken, so spans are visited from the top down; else the first that is not full yet.
pub(super) fn nodes<'a>(trace: &'a Trace, graph: &Graph) -> HashMap<&'a str, usize> {
    let mut assigned: HashMap<&str, usize> = HashMap::new();
    let mut taken = vec![0; graph.nodes.len()];
    for span in from_the_top(trace) {
        let above = trace.parent_of(span).and_then(|parent| assigned.get(parent.id.as_str()).copied());
        let candidates = graph.candidates(span);
        let under = |node: &usize| graph.nodes[*node].parents.iter().any(|parent| parent.node == above);
        let room = |node: &usize| graph.nodes[*node].count.max.is_none_or(|max| taken[*node] < max);
        let best = candidates
            .iter()
            .find(|node| under(node) && room(node))
            .or_else(|| candidates.iter().find(|node| room(node)))
            .or_else(|| candidates.first());
        if let Some(node) = best {
            taken[*node] += 1;
            assigned.insert(&span.id, *node);
        }
    }
    assigned
}

/// Parents before their children; spans whose parents form a circle come last.
fn from_the_top(trace: &Trace) -> Vec<&Span> {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut order = Vec::new();
    let tops = trace.spans().iter().filter(|span| trace.parent_of(span).is_none());
    let mut waiting: VecDeque<&Span> = tops.collect();
    while let Some(span) = waiting.pop_front() {
        if seen.insert(&span.id) {
            order.push(span);
            waiting.extend(trace.children_of(span));
        }
    }
    order.extend(trace.spans().iter().filter(|span| !seen.contains(span.id.as_str())));
    order
}
