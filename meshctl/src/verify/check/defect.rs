//! What can be wrong with a trace, by name.

use std::fmt;

use serde::Serialize;

use crate::trace::{Kind, Protocol, Span};

/// Characters of a value that a sentence shows.
const SHOWN: usize = 80;

/// One difference between a trace and its contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "defect", rename_all = "snake_case")]
pub enum Defect {
    /// A node lacks spans.
    MissingSpan {
        /// The node.
        node: String,
        /// Service, kind and protocol in words.
        what: String,
        /// The node's kind.
        kind: Kind,
        /// The node's protocol.
        protocol: Option<Protocol>,
        /// The edge that leads to it.
        edge: String,
        /// The fewest there should be.
        expected: usize,
        /// How many there are.
        found: usize,
        /// The edge at which the tree breaks off: this one, or one above it.
        cut: String,
    },
    /// A span too many.
    SurplusSpan {
        /// The node whose count it exceeds; none where it is of no node.
        node: Option<String>,
        /// The span.
        span: SpanRef,
        /// The node's bound.
        allowed: Option<usize>,
    },
    /// A span is there, but not where it belongs.
    WrongParent {
        /// Its node.
        node: String,
        /// The span.
        span: SpanRef,
        /// Nodes under which it may be.
        expected: Vec<String>,
        /// What it is under.
        actual: String,
    },
    /// A span names a parent that is not in the trace.
    Orphan {
        /// Its node, if it is of one.
        node: Option<String>,
        /// The span.
        span: SpanRef,
        /// The id of the parent.
        parent: String,
    },
    /// A child starts before its parent.
    ClockDisorder {
        /// Its node, if it is of one.
        node: Option<String>,
        /// The child.
        span: SpanRef,
        /// The parent.
        parent: SpanRef,
        /// How much earlier, in microseconds.
        early_us: u64,
    },
    /// A required attribute is not there, or empty.
    MissingAttribute {
        /// The span's node.
        node: String,
        /// The span.
        span: SpanRef,
        /// The attribute, or those of which one would do.
        attribute: String,
    },
    /// An attribute's value is not what it should look like.
    BadValue {
        /// The span's node.
        node: String,
        /// The span.
        span: SpanRef,
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
        /// The pattern that the whole value should match.
        pattern: String,
    },
    /// The trace has several tops.
    ManyRoots {
        /// All of them.
        roots: Vec<SpanRef>,
    },
    /// The system did not continue the caller's trace.
    OtherTrace {
        /// The trace id that was sent.
        sent: String,
        /// The one that the answer named.
        answered: String,
    },
}

/// Enough of a span to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanRef {
    /// Span id.
    pub id: String,
    /// `service.name`.
    pub service: String,
    /// Span kind.
    pub kind: Kind,
    /// What it speaks.
    pub protocol: Option<Protocol>,
    /// Span name.
    pub name: String,
}

impl SpanRef {
    /// Refers to `span`.
    pub fn of(span: &Span) -> Self {
        Self { id: span.id.clone(), service: span.service.clone(), kind: span.kind, protocol: span.protocol(), name: span.name.clone() }
    }
}

impl fmt::Display for SpanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.service, format!("{:?}", self.kind).to_lowercase(), self.name)
    }
}

impl Defect {
    /// The kind of defect, as reports and metrics call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::MissingSpan { .. } => "missing span",
            Self::SurplusSpan { .. } => "surplus span",
            Self::WrongParent { .. } => "wrong parent",
            Self::Orphan { .. } => "orphan",
            Self::ClockDisorder { .. } => "clock disorder",
            Self::MissingAttribute { .. } => "missing attribute",
            Self::BadValue { .. } => "bad value",
            Self::ManyRoots { .. } => "several roots",
            Self::OtherTrace { .. } => "other trace id",
        }
    }

    /// Where it is, in words which are the same for the same defect of every trace.
    pub fn place(&self) -> String {
        let named = |node: &Option<String>, span: &SpanRef| node.clone().unwrap_or_else(|| span.to_string());
        match self {
            Self::MissingSpan { what, edge, cut, .. } if cut == edge => format!("{edge} ({what})"),
            Self::MissingSpan { what, edge, cut, .. } => format!("{edge} ({what}), cut off at {cut}"),
            Self::SurplusSpan { node, span, .. } | Self::Orphan { node, span, .. } | Self::ClockDisorder { node, span, .. } => {
                named(node, span)
            }
            Self::WrongParent { node, expected, actual, .. } => format!("{node}: under {actual} instead of {}", expected.join(" or ")),
            Self::MissingAttribute { node, attribute, .. } | Self::BadValue { node, attribute, .. } => format!("{node}: {attribute}"),
            Self::ManyRoots { .. } | Self::OtherTrace { .. } => "the trace".to_owned(),
        }
    }

    /// How many spans it is about.
    pub fn weight(&self) -> usize {
        if let Self::MissingSpan { expected, found, .. } = self { expected - found } else { 1 }
    }

    /// The node it is about.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::MissingSpan { node, .. }
            | Self::WrongParent { node, .. }
            | Self::MissingAttribute { node, .. }
            | Self::BadValue { node, .. } => Some(node),
            Self::SurplusSpan { node, .. } | Self::Orphan { node, .. } | Self::ClockDisorder { node, .. } => node.as_deref(),
            Self::ManyRoots { .. } | Self::OtherTrace { .. } => None,
        }
    }

    /// The span it is about.
    pub fn span(&self) -> Option<&SpanRef> {
        match self {
            Self::SurplusSpan { span, .. }
            | Self::WrongParent { span, .. }
            | Self::Orphan { span, .. }
            | Self::ClockDisorder { span, .. }
            | Self::MissingAttribute { span, .. }
            | Self::BadValue { span, .. } => Some(span),
            Self::MissingSpan { .. } | Self::ManyRoots { .. } | Self::OtherTrace { .. } => None,
        }
    }

    /// Whether it means that the edge to the node called `id` does not hold.
    pub(super) fn breaks_edge_to(&self, id: &str) -> bool {
        let structural = matches!(self, Self::MissingSpan { .. } | Self::WrongParent { .. } | Self::Orphan { .. });
        structural && self.node() == Some(id)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingSpan { expected, found, .. } => {
                write!(f, "missing span: {}: {found} of {expected}", self.place())
            }
            Self::SurplusSpan { span, allowed: Some(allowed), .. } => {
                write!(f, "surplus span: {span} is more than the {allowed} of {}", self.place())
            }
            Self::SurplusSpan { span, .. } => write!(f, "surplus span: {span} is of no node"),
            Self::WrongParent { .. } => write!(f, "wrong parent: {}", self.place()),
            Self::Orphan { parent, .. } => write!(f, "orphan: {}: its parent {parent} is not in the trace", self.place()),
            Self::ClockDisorder { parent, early_us, .. } => {
                write!(
                    f,
                    "clock disorder: {} starts {} before its parent {parent}",
                    self.place(),
                    crate::trace::render::duration(*early_us)
                )
            }
            Self::MissingAttribute { .. } => write!(f, "missing attribute: {}", self.place()),
            Self::BadValue { value, pattern, .. } => {
                let shown: String = value.chars().take(SHOWN).collect();
                write!(f, "bad value: {} is {shown:?}, which is not {pattern}", self.place())
            }
            Self::ManyRoots { roots } => {
                let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
                write!(f, "several roots: {}", roots.join(", "))
            }
            Self::OtherTrace { sent, answered } => write!(f, "other trace id: sent {sent}, the answer names {answered}"),
        }
    }
}
