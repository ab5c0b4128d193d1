//! Puts spans into the order of a tree, each with the branches drawn before its name.

use std::collections::HashSet;

use super::plain;
use crate::trace::{
    model::{Span, Trace},
    protocol::Protocol,
};

/// A span and how it is shown.
pub(super) struct Row<'a> {
    pub(super) span: &'a Span,
    /// Branches, such as `│ └ `; empty for a root.
    pub(super) tree: String,
    /// The name on one line.
    pub(super) name: String,
    /// The parent is named but missing.
    pub(super) orphan: bool,
}

/// All spans once: roots and orphans in order of start, children under their parent. Spans whose parents form a circle
/// have no root; they come last, the earliest of them first.
pub(super) fn rows(trace: &Trace) -> Vec<Row<'_>> {
    let mut builder = Builder { trace, seen: HashSet::new(), rows: Vec::new() };
    for span in trace.spans() {
        if trace.parent_of(span).is_none() {
            builder.add(span);
        }
    }
    for span in trace.spans() {
        builder.add(span);
    }
    builder.rows
}

struct Builder<'a> {
    trace: &'a Trace,
    seen: HashSet<&'a str>,
    rows: Vec<Row<'a>>,
}

impl<'a> Builder<'a> {
    /// Adds a span and all below it; a stack rather than recursion, because a trace may be deeper than ours.
    fn add(&mut self, top: &'a Span) {
        let mut stack: Vec<(&'a Span, Vec<bool>)> = vec![(top, Vec::new())];
        while let Some((span, lasts)) = stack.pop() {
            if !self.seen.insert(&span.id) {
                continue;
            }
            self.rows.push(Row { span, tree: branches(&lasts), name: plain(short_name(span)), orphan: self.trace.is_orphan(span) });
            let children: Vec<_> = self.trace.children_of(span).filter(|child| !self.seen.contains(&*child.id)).collect();
            let count = children.len();
            for (place, child) in children.into_iter().enumerate().rev() {
                let mut below = lasts.clone();
                below.push(place + 1 == count);
                stack.push((child, below));
            }
        }
    }
}

/// The span's name; a gRPC method without its package (`OrderService/PlaceOrder`), which the columns have no room for.
fn short_name(span: &Span) -> &str {
    match span.name.split_once('/') {
        Some((service, _)) if span.protocol() == Some(Protocol::Grpc) => {
            span.name.get(service.rfind('.').map_or(0, |dot| dot + 1)..).unwrap_or(&span.name)
        }
        _ => &span.name,
    }
}

/// `lasts` says for every ancestor below the root, and the span itself, whether it is its parent's last child.
fn branches(lasts: &[bool]) -> String {
    let Some((own, above)) = lasts.split_last() else { return String::new() };
    let mut tree: String = above.iter().map(|last| if *last { "  " } else { "│ " }).collect();
    tree.push_str(if *own { "└ " } else { "├ " });
    tree
}
