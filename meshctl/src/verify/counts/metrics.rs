//! A counter, from a page in the text format of Prometheus, or from a Prometheus.

use anyhow::{Context as _, Result, bail};
use reqwest::Url;

use crate::verify::http::Http;

/// Reads one counter, summed over all its label sets.
#[derive(Debug)]
pub(crate) struct Metrics {
    http: Http,
    url: String,
    /// The counter's name.
    pub(crate) name: String,
}

impl Metrics {
    /// The counter `name` at `url`: a page where the path ends with `/metrics`, else the base of a Prometheus API.
    pub(crate) fn new(http: Http, url: &str, name: &str) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned(), name: name.to_owned() }
    }

    /// Its value now; 0 for a counter that has no sample yet.
    pub(crate) async fn value(&self) -> Result<f64> {
        if self.url.ends_with("/metrics") { self.page().await } else { self.query().await }
    }

    async fn page(&self) -> Result<f64> {
        let answer = self.http.get(&self.url, "application/openmetrics-text, text/plain").await?;
        if !answer.status.is_success() {
            bail!("{} answered {}: {}", self.url, answer.status, answer.text());
        }
        sum(&String::from_utf8_lossy(&answer.body), &self.name)
    }

    async fn query(&self) -> Result<f64> {
        let url = Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", format!("sum({})", self.name))])?;
        let answer = self.http.get(url.as_str(), "application/json").await?;
        let json = answer.json().with_context(|| format!("{url} answered {}", answer.status))?;
        if json["status"] != "success" {
            bail!("{url} answered {}: {}", answer.status, json["error"].as_str().unwrap_or("no success"));
        }
        match json["data"]["result"].get(0) {
            None => Ok(0.0),
            Some(sample) => sample["value"][1].as_str().and_then(|value| value.parse().ok()).context("a sample without a value"),
        }
    }
}

/// Sums the samples of `name` in a page.
fn sum(page: &str, name: &str) -> Result<f64> {
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ").map(|(_, value)| value),
            None => rest.strip_prefix(' '),
        }?;
        Some(value.to_owned())
    };
    // an exemplar follows after `#`; it has braces of its own
    let lines = page.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" # ").next().unwrap_or_default());
    let mut total = 0.0;
    for value in lines.filter_map(sample) {
        let number = value.split(' ').next().unwrap_or_default();
        total += number.parse::<f64>().with_context(|| format!("{name}: {value:?} is no number"))?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_summed() {
        let page = "# TYPE placed counter\n\
            placed_total{currency=\"EUR\",note=\"a} b\"} 3 # {trace_id=\"a\"} 1.0 1.5\n\
            placed_total{currency=\"USD\"} 4 1795219200\nplaced_total 1\nplaced_total_other 9\nplaced_created 5\n# EOF\n";
        assert!((sum(page, "placed_total").unwrap() - 8.0).abs() < f64::EPSILON);
        assert!(sum(page, "unknown").unwrap().abs() < f64::EPSILON);
        assert!(sum("placed_total many\n", "placed_total").is_err());
    }
}
