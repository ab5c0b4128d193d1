//! What the rounds come to: medians, since a machine has its moments.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::case::{Case, Round};
use super::load::{Latency, Served};

/// The document of `bench --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Connections of ours and clients of the rivals.
    pub(crate) connections: u16,
    /// Runs of each, alternating.
    pub(crate) rounds: usize,
    /// Whether each case reached what it must.
    pub(crate) passed: bool,
    /// In the order in which they ran.
    pub(crate) cases: Vec<Figures>,
}

/// A case's figures; those of ours are of the run whose rate is the median.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    case: Case,
    ours: Served,
    /// Microseconds of processor time for each request or record, by process.
    cpu_us: BTreeMap<&'static str, f64>,
    /// The tool that shows the limit.
    rival: &'static str,
    /// Its median rate.
    rival_per_second: f64,
    /// Our median rate over the rival's.
    ratio: f64,
    /// The smallest and the largest ratio of one round.
    ratio_range: [f64; 2],
    /// The ratio that has to be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    passed: bool,
}

impl Figures {
    /// None without a round.
    pub(super) fn of(case: Case, mut rounds: Vec<Round>) -> Option<Self> {
        let mut ratios: Vec<f64> = rounds.iter().map(|round| round.ours.per_second / round.rival).collect();
        ratios.sort_by(f64::total_cmp);
        let mut rivals: Vec<f64> = rounds.iter().map(|round| round.rival).collect();
        rivals.sort_by(f64::total_cmp);
        rounds.sort_by(|a, b| a.ours.per_second.total_cmp(&b.ours.per_second));
        let (rival_per_second, range) = (*rivals.get(rivals.len() / 2)?, [*ratios.first()?, *ratios.last()?]);
        let Round { ours, cpu_us, .. } = rounds.swap_remove(rounds.len() / 2);
        let (ratio, at_least) = (ours.per_second / rival_per_second, case.at_least());
        let passed = at_least.is_none_or(|least| ratio >= least);
        Some(Self { case, ours, cpu_us, rival: case.rival(), rival_per_second, ratio, ratio_range: range, at_least, passed })
    }

    fn cells(&self) -> Vec<String> {
        let took = |quantile: fn(Latency) -> f64| self.ours.latency.map_or_else(String::new, |took| format!("{:.1}", quantile(took)));
        let sum: f64 = self.cpu_us.values().sum();
        let parts: Vec<String> = self.cpu_us.iter().map(|(name, micros)| format!("{name} {micros:.0}")).collect();
        vec![
            self.case.name().to_owned(),
            format!("{:.0}/s", self.ours.per_second),
            took(|latency| latency.p50_ms),
            took(|latency| latency.p99_ms),
            format!("{sum:.0} ({})", parts.join(", ")),
            format!("{} {:.0}/s", self.rival, self.rival_per_second),
            format!("{} ({} to {})", of_rival(self.ratio), of_rival(self.ratio_range[0]), of_rival(self.ratio_range[1])),
            self.at_least.map_or_else(String::new, |least| format!("{least:.2} {}", if self.passed { "✓" } else { "✗" })),
        ]
    }
}

/// Two digits that say something.
fn of_rival(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") }
}

impl Report {
    pub(super) fn new(connections: u16, rounds: usize, cases: Vec<Figures>) -> Self {
        Self { connections, rounds, passed: cases.iter().all(|case| case.passed), cases }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING });
        table.set_header(["case", "rate", "p50 ms", "p99 ms", "cpu us each", "rival", "ratio", "at least"]);
        for case in &self.cases {
            table.add_row(case.cells());
        }
        for column in [1, 2, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let (connections, rounds) = (self.connections, self.rounds);
        format!("{table}\n{connections} connections, medians of {rounds} alternating rounds; servers, services and load share this machine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(per_second: f64, rival: f64) -> Round {
        let ours = Served { handled: 10, per_second, latency: Some(Latency { p50_ms: 1.0, p99_ms: 2.0 }) };
        Round { ours, cpu_us: BTreeMap::from([("gateway", per_second)]), rival }
    }

    #[test]
    fn medians_count_and_the_check_fails_below_the_ratio() {
        let rounds = vec![round(100.0, 100.0), round(40.0, 400.0), round(60.0, 200.0)];
        let figures = Figures::of(Case::Order, rounds).unwrap();
        assert!((figures.ratio - 0.3).abs() < 1e-9 && !figures.passed, "{figures:?}");
        assert!((figures.cpu_us["gateway"] - 60.0).abs() < 1e-9 && (figures.ratio_range[1] - 1.0).abs() < 1e-9, "{figures:?}");
        let table = Report::new(64, 3, vec![figures]).table();
        assert_eq!(of_rival(0.0123), "0.012");
        assert!(table.contains("0.30 (0.10 to 1.00)") && table.contains('✗') && table.contains("pgbench 200/s"), "{table}");
        assert!(Figures::of(Case::Product, Vec::new()).is_none());
        assert!(Figures::of(Case::Product, vec![round(1.0, 1e6)]).unwrap().passed);
    }
}
