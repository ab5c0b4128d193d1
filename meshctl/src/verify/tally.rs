//! What many traces come to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{
    check::Defect,
    shop::{Outcome, Sent},
    wait::Checked,
};

/// Names of all kinds of defects, as the report counts them.
pub(crate) const LABELS: [&str; 9] = [
    "missing span",
    "surplus span",
    "wrong parent",
    "orphan",
    "clock disorder",
    "missing attribute",
    "bad value",
    "several roots",
    "other trace id",
];

/// The sum of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Orders that were sent, whatever the answer.
    pub(crate) sent: u64,
    /// Orders that were not placed, by status or reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Traces that were checked.
    pub(crate) checked: u64,
    /// Traces without a defect.
    pub(crate) complete: u64,
    /// Traces of which there was no span.
    pub(crate) absent: u64,
    /// Traces of which nothing is known: the backend could not be asked.
    pub(crate) unknown: u64,
    /// Spans of all traces.
    pub(crate) spans: u64,
    /// Spans of the node by which requests are counted.
    pub(crate) counted: u64,
    /// From the end of a request to its whole trace.
    pub(crate) delays: Vec<Duration>,
    /// Why the backend could not be asked, the last time.
    pub(crate) failure: Option<String>,
    defects: BTreeMap<(&'static str, String), Row>,
}

/// One defect, over all traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) defect: &'static str,
    /// Where it is.
    pub(crate) place: String,
    /// How many spans.
    pub(crate) spans: usize,
    /// In how many traces.
    pub(crate) traces: usize,
    /// One of the traces.
    pub(crate) example: String,
    /// What it is there, in a sentence.
    pub(crate) sentence: String,
}

impl Tally {
    /// Notes an order that was sent; whether it was placed.
    pub(crate) fn sent(&mut self, sent: &Sent) -> bool {
        self.sent += 1;
        match &sent.outcome {
            Outcome::Placed(_) => true,
            Outcome::Refused(why) => {
                *self.refused.entry(why.clone()).or_default() += 1;
                false
            }
        }
    }

    /// Notes a trace that was checked; `counted` is the node by which requests are counted.
    pub(crate) fn checked(&mut self, checked: &Checked, counted: Option<usize>) {
        self.checked += 1;
        if let Some(failure) = &checked.failure {
            self.unknown += 1;
            self.failure = Some(failure.clone());
            return;
        }
        self.complete += u64::from(checked.verdict.complete());
        self.absent += u64::from(checked.trace.spans().is_empty());
        self.spans += checked.trace.spans().len() as u64;
        self.counted += counted.map_or(0, |node| checked.verdict.found[node]) as u64;
        self.delays.extend(checked.delay);
        self.defects(checked);
    }

    fn defects(&mut self, checked: &Checked) {
        let mut of_trace: BTreeMap<(&'static str, String), (usize, &Defect)> = BTreeMap::new();
        for defect in &checked.verdict.defects {
            of_trace.entry((defect.label(), defect.place())).or_insert((0, defect)).0 += defect.weight();
        }
        for ((label, place), (spans, defect)) in of_trace {
            let row = self.defects.entry((label, place.clone())).or_insert_with(|| Row {
                defect: label,
                place,
                spans: 0,
                traces: 0,
                example: checked.trace.id().to_owned(),
                sentence: defect.to_string(),
            });
            row.spans += spans;
            row.traces += 1;
        }
    }

    /// The defects, the most frequent first within each name.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.defects.values().cloned().collect();
        let rank = |row: &Row| LABELS.iter().position(|label| *label == row.defect);
        rows.sort_by(|a, b| (rank(a), b.traces).cmp(&(rank(b), a.traces)));
        rows
    }

    /// Defects by name, those that did not occur included.
    pub(crate) fn totals(&self) -> BTreeMap<&'static str, usize> {
        let total = |label: &'static str| {
            let of_label = self.defects.values().filter(|row| row.defect == label);
            (label, of_label.map(|row| row.spans).sum())
        };
        LABELS.into_iter().map(total).collect()
    }

    /// How many traces there should have been: one for each order, placed or not.
    pub(crate) fn expected(&self) -> u64 {
        self.checked + self.refused.values().sum::<u64>()
    }

    /// The share of complete traces, in percent; a refused order is no complete one. Never rounded up.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one decimal")]
    pub(crate) fn percent(&self) -> f64 {
        if self.expected() == 0 { 0.0 } else { self.complete as f64 * 100.0 / self.expected() as f64 }
    }

    /// The delay that `percent` of the traces did not exceed.
    pub(crate) fn delay(&self, percent: usize) -> Option<Duration> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let place = (delays.len() * percent).div_ceil(100).checked_sub(1)?;
        delays.get(place).copied()
    }
}
