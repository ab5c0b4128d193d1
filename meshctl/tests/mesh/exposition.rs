//! What `/metrics` says, read as OpenMetrics text.

use std::collections::{BTreeMap, BTreeSet};

use crate::running::Mesh;

pub(crate) type Labels = BTreeMap<String, String>;

/// One metric of one service.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    /// Trace id of its exemplar.
    pub(crate) exemplar: Option<String>,
}

impl Family {
    /// Sets of labels, the buckets of a histogram being one.
    pub(crate) fn series(&self) -> BTreeSet<Labels> {
        let without_bucket = |sample: &Sample| {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            labels
        };
        self.samples.iter().map(without_bucket).collect()
    }

    pub(crate) fn label_names(&self) -> BTreeSet<String> {
        self.series().into_iter().flat_map(Labels::into_keys).collect()
    }
}

/// All metrics of one service, by the name that one would ask Prometheus for (a counter's ends with `_total`).
#[derive(Debug, Default)]
pub(crate) struct Exposition(pub(crate) BTreeMap<String, Family>);

impl Exposition {
    /// Scrapes a service.
    pub(crate) async fn of(mesh: &Mesh, service: &str) -> Self {
        let admin = mesh.service(service)["admin"].as_str().unwrap_or_else(|| panic!("{service} does not run")).to_owned();
        let answer = mesh.client.get(format!("{admin}/metrics")).send().await.unwrap();
        assert!(answer.status().is_success(), "{service}: {}", answer.status());
        Self::parse(&answer.text().await.unwrap())
    }

    fn parse(text: &str) -> Self {
        let (mut all, mut base, mut name) = (BTreeMap::<String, Family>::new(), String::new(), String::new());
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some("TYPE"), Some(of), Some(kind)) => {
                    of.clone_into(&mut base);
                    let suffix = match kind {
                        "counter" => "_total",
                        "info" => "_info",
                        _ => "",
                    };
                    name = format!("{}{suffix}", of.trim_end_matches(suffix));
                    kind.clone_into(&mut all.entry(name.clone()).or_default().kind);
                }
                (Some("#"), Some("UNIT"), Some(of), Some(unit)) if of == base => {
                    all.entry(name.clone()).or_default().unit = Some(unit.to_owned());
                }
                (Some("#"), _, _, _) => {}
                _ => {
                    let sample = Sample::parse(line).unwrap_or_else(|| panic!("cannot be read: {line}"));
                    assert!(sample.name.starts_with(&base), "{line} is not of {base}");
                    all.entry(name.clone()).or_default().samples.push(sample);
                }
            }
        }
        Self(all)
    }

    /// The sum of the samples called `sample` (of a histogram: `..._count`) that have these labels among theirs.
    pub(crate) fn sum(&self, sample: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |found: &&Sample| {
            found.name == sample && labels.iter().all(|(name, value)| found.labels.get(*name).is_some_and(|is| is == value))
        };
        // an empty sum of floats is -0
        self.0.values().flat_map(|family| &family.samples).filter(wanted).map(|sample| sample.value).sum::<f64>() + 0.0
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = if rest.starts_with('{') { read_labels(rest)? } else { (Labels::new(), rest) };
        let (value, exemplar) = rest.split_once(" # ").map_or((rest, None), |(value, exemplar)| (value, Some(exemplar)));
        let exemplar = exemplar.map(|text| read_labels(text)?.0.remove("trace_id"));
        Some(Self { name: name.to_owned(), labels, value: value.trim().parse().ok()?, exemplar: exemplar.flatten() })
    }
}

/// `{name="value",...}` and what follows it. A value may hold braces and escaped quotes.
fn read_labels(text: &str) -> Option<(Labels, &str)> {
    let (mut labels, mut rest) = (Labels::new(), text.strip_prefix('{')?);
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.trim_start_matches(',').split_once("=\"")?;
        let (mut value, mut signs) = (String::new(), quoted.char_indices());
        let end = loop {
            match signs.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(signs.next()?.1),
                (_, sign) => value.push(sign),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = &quoted[end + 1..];
    }
}
