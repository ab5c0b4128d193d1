//! Who hangs under whom, and whose clock says what.

use std::collections::HashMap;

use super::{
    Caller,
    defect::{Defect, SpanRef},
};
use crate::{
    trace::{Span, Trace},
    verify::contract::{By, Graph, GraphNode, Parent},
};

/// Wrong parents, orphans, children that start before their parents, and several roots.
pub(super) fn defects(trace: &Trace, graph: &Graph, nodes: &HashMap<&str, usize>, caller: Caller<'_>) -> Vec<Defect> {
    let checker = Checker { trace, graph, nodes, caller };
    let of_parents = trace.spans().iter().filter_map(|span| checker.parent(span));
    of_parents.chain(trace.spans().iter().filter_map(|span| checker.clock(span))).chain(checker.roots()).collect()
}

struct Checker<'a> {
    trace: &'a Trace,
    graph: &'a Graph,
    nodes: &'a HashMap<&'a str, usize>,
    caller: Caller<'a>,
}

impl Checker<'_> {
    fn node(&self, id: &str) -> Option<usize> {
        self.nodes.get(id).copied()
    }

    fn parent(&self, span: &Span) -> Option<Defect> {
        let node = self.node(&span.id);
        let expected = node.map(|node| &self.graph.nodes[node]);
        if expected.is_some_and(|expected| self.fits(span, expected)) {
            return None;
        }
        let above = self.trace.parent_of(span);
        let dangling = span.parent.as_deref().filter(|parent| above.is_none() && self.caller != Caller::Known(parent));
        if let Some(parent) = dangling {
            return Some(Defect::Orphan {
                node: node.map(|node| self.graph.id(Some(node)).to_owned()),
                span: SpanRef::of(span),
                parent: parent.to_owned(),
            });
        }
        let expected = expected?.parents.iter().map(|parent| self.graph.id(parent.node).to_owned()).collect();
        Some(Defect::WrongParent { node: self.graph.id(node).to_owned(), span: SpanRef::of(span), expected, actual: self.actual(span) })
    }

    /// Whether one of the permitted edges leads to this span.
    fn fits(&self, span: &Span, expected: &GraphNode) -> bool {
        let above = self.trace.parent_of(span).map(|parent| self.node(&parent.id));
        let by_caller = match (&span.parent, self.caller) {
            (None, Caller::Unknown) => true,
            (Some(_), Caller::Unknown) => above.is_none(),
            (parent, Caller::Known(entry)) => parent.as_deref() == Some(entry),
        };
        expected.parents.iter().any(|parent| match (parent.node, parent.by) {
            (None, _) => by_caller,
            (Some(node), By::Parent) => above == Some(Some(node)),
            (Some(node), By::Link) => self.linked(span, node),
            (Some(node), By::Either) => above == Some(Some(node)) || self.linked(span, node),
        })
    }

    fn linked(&self, span: &Span, node: usize) -> bool {
        span.links.iter().any(|link| self.node(&link.span) == Some(node))
    }

    /// Several spans that nobody caused. One that is tied by a link is none of them.
    fn roots(&self) -> Option<Defect> {
        let tied = |span: &Span| {
            let parents = self.node(&span.id).map(|node| &self.graph.nodes[node].parents);
            let by_link = |parent: &Parent| parent.by != By::Parent && parent.node.is_some_and(|node| self.linked(span, node));
            parents.is_some_and(|parents| parents.iter().any(by_link))
        };
        let roots: Vec<SpanRef> = self.trace.roots().filter(|span| !tied(span)).map(SpanRef::of).collect();
        (roots.len() > 1).then_some(Defect::ManyRoots { roots })
    }

    fn actual(&self, span: &Span) -> String {
        let Some(parent) = &span.parent else { return "nothing: it is a root".to_owned() };
        match self.trace.span(parent) {
            None => "caller".to_owned(),
            Some(above) => match self.node(&above.id) {
                Some(node) => self.graph.id(Some(node)).to_owned(),
                None => SpanRef::of(above).to_string(),
            },
        }
    }

    fn clock(&self, span: &Span) -> Option<Defect> {
        let above = self.trace.parent_of(span)?;
        let early_us = above.start_us.saturating_sub(span.start_us);
        (early_us > self.graph.clock_tolerance_us).then(|| Defect::ClockDisorder {
            node: self.node(&span.id).map(|node| self.graph.id(Some(node)).to_owned()),
            span: SpanRef::of(span),
            parent: SpanRef::of(above),
            early_us,
        })
    }
}
