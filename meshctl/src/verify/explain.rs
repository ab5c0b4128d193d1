//! One trace as a tree, with what is wrong marked where it is.

use std::collections::{HashMap, HashSet};

use console::truncate_str;
use serde_json::{Value, json};

use super::{
    check::{Defect, Verdict},
    contract::Graph,
};
use crate::trace::{Span, Trace, render::duration};

/// Columns of a span's name.
const LONGEST_NAME: usize = 70;

/// A line of the tree: a span that is there, or a node that is missing.
enum Item<'a> {
    Span(&'a Span),
    Missing(usize),
}

/// Draws `trace`: `✓` a span as expected, `✗` one with something wrong, said below it, `−` one that is missing, `+` one too many.
pub(crate) fn tree(trace: &Trace, graph: &Graph, verdict: &Verdict) -> String {
    let mut drawing = Drawing { trace, graph, verdict, missing: missing(graph, verdict), drawn: HashSet::new(), lines: Vec::new() };
    let tops: Vec<Item<'_>> = trace.spans().iter().filter(|span| trace.parent_of(span).is_none()).map(Item::Span).collect();
    let mut items = drawing.missing_below(None);
    items.extend(tops);
    for item in items {
        drawing.draw(&item, "", "");
    }
    // spans whose parents form a circle have no top
    for span in trace.spans() {
        drawing.draw(&Item::Span(span), "", "");
    }
    for defect in verdict.defects.iter().filter(|defect| defect.span().is_none() && defect.node().is_none()) {
        drawing.lines.push(format!("✗ {defect}"));
    }
    let (spans, defects) = (trace.spans().len(), verdict.defects.len());
    drawing.lines.extend([String::new(), format!("{} · {spans} spans · {defects} defects", trace.id())]);
    drawing.lines.join("\n")
}

/// The same for machines: the node of each span, and the defects.
pub(crate) fn json(trace: &Trace, graph: &Graph, verdict: &Verdict) -> Value {
    let spans = trace.spans().iter().map(|span| {
        let node = verdict.nodes.get(&span.id).map(|node| graph.id(Some(*node)));
        json!({ "id": span.id, "parent": span.parent, "service": span.service, "name": span.name, "node": node })
    });
    json!({ "trace_id": trace.id(), "complete": verdict.complete(), "defects": verdict.defects, "spans": spans.collect::<Vec<_>>() })
}

/// Nodes that lack spans, with how many.
fn missing(graph: &Graph, verdict: &Verdict) -> HashMap<usize, usize> {
    let lacks = |node: usize| graph.nodes[node].count.min.saturating_sub(verdict.found[node]);
    (0..graph.nodes.len()).filter(|node| verdict.due[*node] && lacks(*node) > 0).map(|node| (node, lacks(node))).collect()
}

struct Drawing<'a> {
    trace: &'a Trace,
    graph: &'a Graph,
    verdict: &'a Verdict,
    missing: HashMap<usize, usize>,
    drawn: HashSet<String>,
    lines: Vec<String>,
}

impl<'a> Drawing<'a> {
    /// Missing nodes that belong under `parent`, in the order of the contract; each is drawn once.
    fn missing_below(&mut self, parent: Option<usize>) -> Vec<Item<'a>> {
        let nodes = 0..self.graph.nodes.len();
        let below = |node: &usize| self.graph.nodes[*node].parents.first().is_some_and(|first| first.node == parent);
        let here: Vec<usize> = nodes.filter(|node| self.missing.contains_key(node) && below(node)).collect();
        here.into_iter().filter(|node| self.drawn.insert(self.graph.nodes[*node].node.id.clone())).map(Item::Missing).collect()
    }

    fn draw(&mut self, item: &Item<'a>, branch: &str, indent: &str) {
        let below = match item {
            Item::Span(span) => {
                if !self.drawn.insert(span.id.clone()) {
                    return;
                }
                self.span(span, branch, indent);
                let node = self.verdict.nodes.get(&span.id).copied();
                let mut below: Vec<Item<'a>> = self.trace.children_of(span).map(Item::Span).collect();
                if node.is_some() {
                    below.extend(self.missing_below(node));
                }
                below
            }
            Item::Missing(node) => {
                let number = self.missing.get(node).copied().unwrap_or(1);
                let times = if number > 1 { format!(" ×{number}") } else { String::new() };
                let expected = &self.graph.nodes[*node];
                self.lines.push(format!("− {branch}{} ({}){times}: missing", expected.node.id, expected.description()));
                self.missing_below(Some(*node))
            }
        };
        let count = below.len();
        for (place, item) in below.iter().enumerate() {
            let (own, next) = if place + 1 == count { ("└ ", "  ") } else { ("├ ", "│ ") };
            self.draw(item, &format!("{indent}{own}"), &format!("{indent}{next}"));
        }
    }

    fn span(&mut self, span: &Span, branch: &str, indent: &str) {
        let wrong: Vec<&Defect> =
            self.verdict.defects.iter().filter(|defect| defect.span().is_some_and(|about| about.id == span.id)).collect();
        let mark = match wrong.first() {
            None => '✓',
            Some(Defect::SurplusSpan { .. }) => '+',
            Some(_) => '✗',
        };
        let protocol = span.protocol().map(|protocol| format!(" {protocol}")).unwrap_or_default();
        let name: String = span.name.chars().filter(|c| !c.is_control()).collect();
        let name = truncate_str(&name, LONGEST_NAME, "…");
        self.lines.push(format!("{mark} {branch}{}{protocol} {name}  {}", span.service, duration(span.duration_us)));
        self.lines.extend(wrong.into_iter().map(|defect| format!("  {indent}    ^ {defect}")));
    }
}
