//! What a run comes to, for people and for machines.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{
    counts::Count,
    source::Losses,
    tally::{LABELS, Row, Tally},
};

/// The document of `verify --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The contract's name.
    pub(crate) contract: String,
    /// The mode in which it was read.
    pub(crate) mode: String,
    /// Where the traces were.
    pub(crate) backend: String,
    /// Whether the check has passed.
    pub(crate) passed: bool,
    /// The share of complete traces, in percent.
    pub(crate) complete_percent: f64,
    /// The share below which it fails.
    pub(crate) min_complete_percent: f64,
    /// Orders, where any were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orders: Option<Orders>,
    /// Traces.
    pub(crate) traces: Traces,
    /// Spans.
    pub(crate) spans: Spans,
    /// From the end of a request to its whole trace, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ingest_delay_ms: Option<Delay>,
    /// Spans with a defect, by the defect's name.
    pub(crate) totals: BTreeMap<&'static str, usize>,
    /// Each defect at its place.
    pub(crate) defects: Vec<Row>,
    /// Counts that should agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) counts: Vec<Count>,
    /// Why the backend could not be asked, the last time that it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_failure: Option<String>,
}

/// Orders of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Orders {
    /// All that were sent.
    pub(crate) sent: u64,
    /// Those that were answered with 201.
    pub(crate) placed: u64,
    /// The others, by status or reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Sent per second.
    pub(crate) per_second: f64,
    /// From the first one to the last answer.
    pub(crate) seconds: f64,
}

/// Traces of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Traces {
    /// Those that were checked.
    pub(crate) checked: u64,
    /// Those without a defect.
    pub(crate) complete: u64,
    /// Those of which there was no span.
    pub(crate) absent: u64,
    /// Those of which nothing is known, because the backend could not be asked.
    pub(crate) unknown: u64,
}

/// Spans of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Spans {
    /// Those of the checked traces.
    pub(crate) checked: u64,
    /// While orders were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_second: Option<f64>,
    /// What the backend lost meanwhile, where it says so.
    #[serde(flatten)]
    pub(crate) losses: Option<Losses>,
}

/// Percentiles.
#[derive(Debug, Serialize)]
pub(crate) struct Delay {
    /// The median.
    pub(crate) p50: f64,
    /// What one in a hundred exceeds.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

/// What was checked against what.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) contract: String,
    pub(crate) mode: String,
    pub(crate) backend: String,
    pub(crate) min_complete: f64,
}

impl Report {
    /// Adds a run up. `sending` is how long orders were sent; `losses` are those of the backend in that time.
    pub(crate) fn new(subject: Subject, tally: &Tally, sending: Option<Duration>, losses: Option<Losses>, counts: Vec<Count>) -> Self {
        let percent = tally.percent();
        let passed = tally.checked > 0 && percent >= subject.min_complete && counts.iter().all(Count::agrees);
        let per_second = |number: u64| sending.map(|sending| rate(number, sending));
        Self {
            passed,
            contract: subject.contract,
            mode: subject.mode,
            backend: subject.backend,
            complete_percent: percent,
            min_complete_percent: subject.min_complete,
            orders: sending.map(|sending| Orders {
                sent: tally.sent,
                placed: tally.sent - tally.refused.values().sum::<u64>(),
                refused: tally.refused.clone(),
                per_second: rate(tally.sent, sending),
                seconds: sending.as_secs_f64(),
            }),
            traces: Traces { checked: tally.checked, complete: tally.complete, absent: tally.absent, unknown: tally.unknown },
            spans: Spans { checked: tally.spans, per_second: per_second(tally.spans), losses },
            ingest_delay_ms: delay(tally),
            totals: tally.totals(),
            defects: tally.rows(),
            counts,
            backend_failure: tally.failure.clone(),
        }
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let verdict = if self.passed { "passed" } else { "FAILED" };
        let mut lines = vec![format!("{} · mode {} · {}", self.contract, self.mode, self.backend), String::new()];
        lines.push(self.summary().to_string());
        if !self.defects.is_empty() {
            lines.extend([String::new(), self.table().to_string()]);
            let examples = self.defects.iter().take(EXAMPLES).map(|row| format!("  {}  {}", row.example, row.sentence));
            lines.extend([String::new(), "for example (--explain TRACE_ID shows the whole tree):".to_owned()]);
            lines.extend(examples);
        }
        let share = format!("{} % of the traces are complete; the least is {} %", floor(self.complete_percent), self.min_complete_percent);
        let disagree = self.counts.iter().any(|count| !count.agrees());
        let disagree = if disagree { "; counts disagree" } else { "" };
        lines.extend([String::new(), format!("{verdict}: {share}{disagree}")]);
        lines.join("\n")
    }

    fn summary(&self) -> Table {
        let mut table = table(["", "", ""]);
        table.set_header(Vec::<String>::new());
        let complete = format!("{} %", floor(self.complete_percent));
        let absent = if self.traces.absent > 0 { format!(", {} not there at all", self.traces.absent) } else { String::new() };
        table.add_row(["complete traces", &complete, &format!("{} of {}{absent}", self.traces.complete, self.traces.checked)]);
        if let Some(orders) = &self.orders {
            let refused: Vec<String> = orders.refused.iter().map(|(why, number)| format!("{number} refused: {why}")).collect();
            let refused = if refused.is_empty() { "none refused".to_owned() } else { refused.join(", ") };
            table.add_row([
                "orders placed",
                &orders.placed.to_string(),
                &format!("{:.1}/s for {:.1} s, {refused}", orders.per_second, orders.seconds),
            ]);
        }
        let spans = [
            self.spans.per_second.map(|rate| format!("{rate:.0}/s")),
            self.spans.losses.map(|losses| format!("{} dropped by the backend", losses.dropped)),
            self.spans.losses.filter(|losses| losses.evicted > 0).map(|losses| format!("{} of older traces evicted", losses.evicted)),
        ];
        table.add_row(["spans", &self.spans.checked.to_string(), &spans.into_iter().flatten().collect::<Vec<_>>().join(", ")]);
        if let Some(delay) = &self.ingest_delay_ms {
            table.add_row([
                "ingest delay",
                &format!("{:.0} ms", delay.p50),
                &format!("median; p99 {:.0} ms, longest {:.0} ms", delay.p99, delay.max),
            ]);
        }
        for label in LABELS {
            table.add_row([label, &self.totals.get(label).unwrap_or(&0).to_string(), ""]);
        }
        for count in &self.counts {
            table.add_row([count.what.as_str(), &count.shown(), &count.verdict()]);
        }
        if let Some(failure) = &self.backend_failure {
            table.add_row(["not fetched", &self.traces.unknown.to_string(), failure]);
        }
        table
    }

    fn table(&self) -> Table {
        let mut table = table(["defect", "where", "spans", "traces"]);
        for row in &self.defects {
            table.add_row([row.defect, &row.place, &row.spans.to_string(), &row.traces.to_string()]);
        }
        table
    }
}

/// Sentences below the table.
const EXAMPLES: usize = 10;

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    let terminal = std::io::stdout().is_terminal();
    let preset = if terminal { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(header);
    if terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

fn delay(tally: &Tally) -> Option<Delay> {
    let ms = |percent| tally.delay(percent).map(|delay| (delay.as_secs_f64() * 1e4).round() / 10.0);
    Some(Delay { p50: ms(50)?, p99: ms(99)?, max: ms(100)? })
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with one decimal")]
fn rate(number: u64, time: Duration) -> f64 {
    number as f64 / time.as_secs_f64().max(1e-9)
}

/// One decimal, never rounded up: 99.99 % is not 100.0 %.
fn floor(percent: f64) -> String {
    format!("{:.1}", (percent * 10.0).floor() / 10.0)
}
