//! The canary's metrics.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::verify::{
    check::Defect,
    contract::{Graph, GraphNode},
    shop::{Outcome, Sent},
    wait::Checked,
};

/// Buckets of the ingest delay, in seconds.
const BUCKETS: [f64; 10] = [0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 15.0, 30.0, 60.0];
/// How many of the newest traces a ratio is of.
const WINDOW: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EdgeLabels {
    protocol: String,
    edge: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DefectLabel {
    defect: &'static str,
}

type Ratio = Gauge<f64, AtomicU64>;

/// Counters since the start, and ratios over the newest traces.
#[derive(Debug)]
pub(super) struct CanaryMetrics {
    graph: Arc<Graph>,
    registry: Registry,
    orders: Family<ResultLabel, Counter>,
    traces: Family<ResultLabel, Counter>,
    complete: Family<EdgeLabels, Ratio>,
    missing: Family<EdgeLabels, Counter>,
    wrong_parents: Family<EdgeLabels, Counter>,
    defects: Family<DefectLabel, Counter>,
    delay: Histogram,
    newest: Mutex<VecDeque<Vec<Option<bool>>>>,
}

impl CanaryMetrics {
    /// Registers everything; each edge of the graph is there from the start, with nothing missing.
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let mut registry = Registry::with_prefix("throughline_verify");
        let metrics = Self {
            orders: Family::default(),
            traces: Family::default(),
            complete: Family::default(),
            missing: Family::default(),
            wrong_parents: Family::default(),
            defects: Family::default(),
            delay: Histogram::new(BUCKETS),
            newest: Mutex::default(),
            registry: Registry::default(),
            graph,
        };
        registry.register("orders", "Orders sent, by whether they were placed", metrics.orders.clone());
        registry.register("traces", "Traces checked, by whether they were complete", metrics.traces.clone());
        let help = "Share of the last 100 traces in which the spans at the end of an edge were all there, under their parents";
        registry.register("complete_ratio", help, metrics.complete.clone());
        registry.register("missing_spans", "Spans that were missing at the deadline", metrics.missing.clone());
        registry.register("wrong_parents", "Spans under another parent than they should be", metrics.wrong_parents.clone());
        registry.register("defects", "Spans with a defect, by its name", metrics.defects.clone());
        let help = "From the answer to an order to the first look at which no span of its trace was missing";
        registry.register_with_unit("ingest_delay", help, Unit::Seconds, metrics.delay.clone());
        for node in 0..metrics.graph.nodes.len() {
            drop(metrics.missing.get_or_create(&metrics.edge(node)));
            drop(metrics.wrong_parents.get_or_create(&metrics.edge(node)));
        }
        Self { registry, ..metrics }
    }

    /// Notes an order; whether it was placed.
    pub(super) fn sent(&self, sent: &Sent) -> bool {
        let placed = matches!(sent.outcome, Outcome::Placed(_));
        self.orders.get_or_create(&ResultLabel { result: if placed { "placed" } else { "refused" } }).inc();
        placed
    }

    /// Notes a trace.
    pub(super) fn checked(&self, checked: &Checked) {
        let verdict = &checked.verdict;
        if checked.failure.is_some() {
            self.traces.get_or_create(&ResultLabel { result: "unknown" }).inc();
            return;
        }
        self.traces.get_or_create(&ResultLabel { result: if verdict.complete() { "complete" } else { "incomplete" } }).inc();
        if let Some(delay) = checked.delay {
            self.delay.observe(delay.as_secs_f64());
        }
        for defect in &verdict.defects {
            let weight = defect.weight() as u64;
            self.defects.get_or_create(&DefectLabel { defect: defect.label() }).inc_by(weight);
            let family = match defect {
                Defect::MissingSpan { .. } => &self.missing,
                Defect::WrongParent { .. } => &self.wrong_parents,
                _ => continue,
            };
            if let Some(node) = defect.node().and_then(|id| self.graph.nodes.iter().position(|node| node.node.id == id)) {
                family.get_or_create(&self.edge(node)).inc_by(weight);
            }
        }
        let holds = |(place, node): (usize, &GraphNode)| {
            (verdict.due[place] || verdict.found[place] > 0).then(|| verdict.edge_holds(&node.node.id))
        };
        self.ratios(self.graph.nodes.iter().enumerate().map(holds).collect());
    }

    /// Takes the newest trace into the ratios; a trace that need not have an edge and has not does not count for it.
    #[expect(clippy::cast_precision_loss, reason = "the window is small")]
    fn ratios(&self, edges: Vec<Option<bool>>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.push_back(edges);
        if newest.len() > WINDOW {
            newest.pop_front();
        }
        for node in 0..self.graph.nodes.len() {
            let counting: Vec<bool> = newest.iter().filter_map(|trace| trace[node]).collect();
            if !counting.is_empty() {
                let whole = counting.iter().filter(|holds| **holds).count();
                self.complete.get_or_create(&self.edge(node)).set(whole as f64 / counting.len() as f64);
            }
        }
    }

    fn edge(&self, node: usize) -> EdgeLabels {
        let protocol = self.graph.nodes[node].node.protocol.map_or_else(|| "none".to_owned(), |protocol| protocol.to_string());
        EdgeLabels { protocol, edge: self.graph.edge(node) }
    }

    /// All of it as `OpenMetrics`.
    pub(super) fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
