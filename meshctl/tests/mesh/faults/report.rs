//! The table.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    books::Books,
    crowd::Placed,
    diary::{COUNTERS, Diary},
    plan::Scale,
};

/// Answers that a caller may hear while things fall over: done, done before, a step made before, away, late. And what any caller hears
/// now and then who sends a request on a connection that the gateway closes at that moment, since nothing had come on it for a while.
const FORESEEN: [&str; 7] = ["200", "201", "409", "503", "504", "408", "none (connection closed before message completed)"];

pub(crate) struct Report<'a> {
    pub(crate) scale: &'a Scale,
    pub(crate) seed: u64,
    pub(crate) placed: &'a [Placed],
    pub(crate) answers: BTreeMap<String, usize>,
    pub(crate) diary: &'a Diary,
    pub(crate) books: &'a Books<'a>,
    /// From the last answer until nothing was on its way.
    pub(crate) settled: Duration,
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(head.iter().copied().map(str::to_owned).collect::<Vec<_>>()).add_rows(rows);
    table.to_string()
}

impl Report<'_> {
    /// What is not as it should be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let lines = self.books.lines.iter().filter(|line| !line.agrees);
        let lines = lines.map(|line| format!("{}: {} and not {}", line.what, line.found, line.expected));
        let answers = self.answers.iter().filter(|(answer, _)| !FORESEEN.contains(&answer.as_str()));
        let answers = answers.map(|(answer, count)| format!("{count} answers {answer}"));
        lines.chain(answers).chain(self.diary.surprises()).collect()
    }

    /// Seconds after which the given share of the orders was answered.
    fn quantile(&self, share: f64) -> f64 {
        let mut took: Vec<f64> = self.placed.iter().map(|order| order.took.as_secs_f64()).collect();
        took.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a length")]
        let at = ((took.len() - 1) as f64 * share) as usize;
        took[at]
    }

    fn counts(&self) -> Vec<(String, String)> {
        let text = |what: &str| what.to_owned();
        let repeated = self.placed.iter().filter(|order| order.attempts > 1).count();
        let held_back = self.placed.iter().map(|order| order.held_back).max().unwrap_or_default();
        let answers: Vec<String> = self.answers.iter().map(|(answer, count)| format!("{count} x {answer}")).collect();
        let mut counts = vec![
            (text("orders that needed more than one attempt"), repeated.to_string()),
            (text("attempts of one order, at most"), self.placed.iter().map(|order| order.attempts).max().unwrap_or_default().to_string()),
            (text("answers, all requests"), answers.join("  ")),
            (
                text("seconds until an order was answered: p50, p99, longest"),
                format!("{:.2}  {:.2}  {:.2}", self.quantile(0.5), self.quantile(0.99), self.quantile(1.0)),
            ),
            (text("seconds by which an order was offered late, at most"), format!("{:.2}", held_back.as_secs_f64())),
            (text("seconds until nothing was on its way any more"), format!("{:.1}", self.settled.as_secs_f64())),
        ];
        counts.extend(self.books.duplicates.iter().map(|(what, count)| (format!("duplicates: {what}"), count.to_string())));
        counts.extend(COUNTERS.iter().map(|name| (format!("{name}, at least"), format!("{:.0}", self.diary.counted(name)))));
        counts
    }

    pub(crate) fn text(&self) -> String {
        let faults = self.diary.rows().into_iter().map(Vec::from).collect();
        let lines = self.books.lines.iter().map(|line| {
            vec![line.what.to_owned(), line.expected.clone(), line.found.clone(), if line.agrees { "agrees" } else { "WRONG" }.to_owned()]
        });
        let counts = self.counts().into_iter().map(|(what, count)| vec![what, count]).collect();
        let Scale { name, span, rate, .. } = self.scale;
        format!(
            "{rate} orders/s for {} s ({name} form), THROUGHLINE_FAULTS_SEED={}\n{}\n{}\n{}\n",
            span.as_secs(),
            self.seed,
            table(&["fault", "times", "seconds after the first order"], faults),
            table(&["compared", "expected", "found", ""], lines.collect()),
            table(&["counted", ""], counts),
        )
    }

    fn json(&self) -> Value {
        let line =
            |line: &super::books::Line| json!({ "what": line.what, "expected": line.expected, "found": line.found, "agrees": line.agrees });
        json!({
            "seed": self.seed,
            "form": self.scale.name,
            "rate": self.scale.rate,
            "seconds": self.scale.span.as_secs(),
            "diary": self.diary.json(),
            "compared": self.books.lines.iter().map(line).collect::<Vec<_>>(),
            "counted": self.counts().into_iter().collect::<BTreeMap<_, _>>(),
            "wrong": self.wrong(),
        })
    }

    /// Writes the table and its figures to `target/faults`; returns where the table is.
    pub(crate) fn write(&self) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}.txt", self.scale.name));
        fs::write(&path, self.text()).unwrap();
        fs::write(path.with_extension("json"), format!("{:#}\n", self.json())).unwrap();
        path
    }
}
