//! What the trace of a request looks like: the contract, a YAML file that a person can read. docs/verify.md is its manual.

pub mod count;
pub mod graph;
pub mod pattern;

mod mistakes;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

pub use self::{
    count::Count,
    graph::{Graph, GraphNode, Parent},
    pattern::{Names, Pattern},
};
use crate::{
    failure,
    trace::{Kind, Protocol},
};

/// The parent of a trace's first span: whoever sent `traceparent`, or nobody.
pub const CALLER: &str = "caller";
/// The contract of `POST /api/v1/orders`.
const ORDER: &str = include_str!("../../../observability/expected-trace.yaml");

/// The expected trace of one kind of request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// What the request is called.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Ways of making spans that give traces of different shape; the first is taken unless another is asked for.
    #[serde(default = "one_mode")]
    pub modes: Vec<String>,
    /// How much earlier than its parent a child may start: clocks of different machines differ.
    #[serde(default = "one_millisecond")]
    pub clock_tolerance_ms: f64,
    /// Modes in which spans that match no node are fine.
    #[serde(default)]
    pub other_spans: Vec<String>,
    /// The spans.
    pub nodes: Vec<Node>,
    /// Who is whose parent.
    pub edges: Vec<Edge>,
    /// What all spans of a kind and protocol carry.
    #[serde(default)]
    pub conventions: Vec<Convention>,
    /// Where the requests are counted beside their traces.
    #[serde(default)]
    pub counts: Counts,
}

/// One span of the trace, or several alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in this file and in reports.
    pub id: String,
    /// `service.name`.
    pub service: String,
    /// Span kind.
    pub kind: Kind,
    /// What it speaks.
    pub protocol: Option<Protocol>,
    /// The exact span name.
    pub name: Option<String>,
    /// A pattern of the span name.
    pub name_pattern: Option<Pattern>,
    /// Attributes that tell these spans from others of the service.
    #[serde(default, rename = "match")]
    pub matching: BTreeMap<String, String>,
    /// How many there are in a trace.
    #[serde(default)]
    pub count: Count,
    /// Modes in which there may be none.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Attributes that must be there and not be empty.
    #[serde(default)]
    pub require: Vec<Names>,
    /// Patterns of attributes' whole values; an attribute that is not there is fine, unless it is required.
    #[serde(default)]
    pub values: BTreeMap<String, Pattern>,
}

/// A parent and its child.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// A node, or [`CALLER`].
    pub from: String,
    /// The node below.
    pub to: String,
    /// How they are tied.
    #[serde(default)]
    pub by: By,
    /// Only in these modes; in all where this is empty.
    #[serde(default)]
    pub modes: Vec<String>,
}

/// How a span names the one that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// As its parent.
    #[default]
    Parent,
    /// By a span link, as consumers of batches do.
    Link,
    /// One or the other.
    Either,
}

/// What spans carry by the semantic conventions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convention {
    /// Only spans of this kind.
    pub kind: Option<Kind>,
    /// Only spans that speak this.
    pub protocol: Option<Protocol>,
    /// Attributes that must be there and not be empty.
    #[serde(default)]
    pub require: Vec<Names>,
    /// Patterns of attributes' whole values.
    #[serde(default)]
    pub values: BTreeMap<String, Pattern>,
}

/// Where requests are counted beside their traces.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// The node of which each request makes one span.
    pub span: Option<String>,
    /// The counter that each request increments by one.
    pub metric: Option<String>,
    /// The log line that each request leaves.
    pub log: Option<LogLine>,
}

/// A log line in JSON, one to a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// Who writes it: the name of its log file (`orders` is `orders.log`).
    pub service: String,
    /// Fields by which to know it.
    #[serde(rename = "match")]
    pub matching: BTreeMap<String, String>,
    /// The field with the trace id.
    #[serde(default = "trace_id")]
    pub trace_id: String,
    /// Loki's selector of its stream.
    pub loki: String,
}

fn one_mode() -> Vec<String> {
    vec!["default".to_owned()]
}

fn one_millisecond() -> f64 {
    1.0
}

fn trace_id() -> String {
    "trace_id".to_owned()
}

impl Contract {
    /// The contract of our own mesh's orders.
    pub fn order() -> Result<Self> {
        Self::parse(ORDER, "observability/expected-trace.yaml")
    }

    /// Reads a contract; `origin` is what errors call it. They name line or key, and what is allowed.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let contract: Self = serde_saphyr::from_str(text).map_err(|err| failure::usage(format!("{origin}: {err}")))?;
        let mistakes = mistakes::mistakes(&contract);
        if mistakes.is_empty() {
            return Ok(contract);
        }
        Err(failure::usage(format!("{origin}:\n  {}", mistakes.join("\n  "))))
    }

    /// The contract in `file`, or that of our orders.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else { return Self::order() };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the contract {}", file.display()))
            .map_err(|err| failure::usage(format!("{err:#}")))?;
        Self::parse(&text, &file.display().to_string())
    }

    /// The graph in `mode`, or in the first one.
    pub fn graph(&self, mode: Option<&str>) -> Result<Graph> {
        let first = self.modes.first().map_or("default", String::as_str);
        let mode = mode.unwrap_or(first);
        if !self.modes.iter().any(|known| known == mode) {
            return Err(failure::usage(format!("--mode {mode}: the contract {:?} knows {}", self.name, self.modes.join(", "))));
        }
        Ok(Graph::new(self, mode))
    }
}

#[cfg(test)]
mod tests;
