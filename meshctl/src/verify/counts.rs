//! Counts that should agree: orders, spans, increments of a counter, log lines.

mod logs;
mod metrics;

use serde::Serialize;

pub(crate) use self::{logs::Logs, metrics::Metrics};

/// One count and what it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Count {
    /// What was counted.
    pub(crate) what: String,
    /// How many there are; none where that could not be found out.
    pub(crate) found: Option<f64>,
    /// How many there should be.
    pub(crate) expected: f64,
    /// Why there is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl Count {
    /// Of `what`, as found or not.
    #[expect(clippy::cast_precision_loss, reason = "2^52 orders are more than a run sends")]
    pub(crate) fn new(what: String, found: anyhow::Result<f64>, expected: u64) -> Self {
        let expected = expected as f64;
        match found {
            Ok(found) => Self { what, found: Some(found), expected, failure: None },
            Err(err) => Self { what, found: None, expected, failure: Some(format!("{err:#}")) },
        }
    }

    /// Whether it is what it should be.
    pub(crate) fn agrees(&self) -> bool {
        self.found.is_some_and(|found| (found - self.expected).abs() < 0.5)
    }

    /// The number for people.
    pub(crate) fn shown(&self) -> String {
        self.found.map_or_else(|| "unknown".to_owned(), |found| found.to_string())
    }

    /// Agreement in words.
    pub(crate) fn verdict(&self) -> String {
        match &self.failure {
            Some(failure) => failure.clone(),
            None if self.agrees() => "agrees with the orders placed".to_owned(),
            None => format!("DISAGREES: {} orders were placed", self.expected),
        }
    }
}
