//! The topics of a broker for people's tables and for scripts.

use std::time::Duration;

use serde::Serialize;

use super::{Difference, Found, Inspected, spoken};

/// All declared topics, and what differs.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// As the broker has them, in the order of their declaration.
    pub topics: Vec<Line>,
    /// What is not as declared.
    pub differences: Vec<Difference>,
}

/// A topic as the broker has it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Name, with suffix.
    pub topic: String,
    /// `ok`, `differs` or `missing`.
    pub state: &'static str,
    /// Partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    /// How often partitions are kept: one number where all are alike.
    pub replicas: Vec<usize>,
    /// `cleanup.policy`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<String>,
    /// `retention.ms`, where records are deleted by age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
}

impl Report {
    /// True where everything is as declared.
    pub fn is_fine(&self) -> bool {
        self.differences.is_empty()
    }
}

impl From<Vec<Inspected>> for Report {
    fn from(inspected: Vec<Inspected>) -> Self {
        let topics = inspected.iter().map(Line::from).collect();
        Self { topics, differences: inspected.into_iter().flat_map(|topic| topic.differences).collect() }
    }
}

impl From<&Inspected> for Line {
    fn from(topic: &Inspected) -> Self {
        let found = topic.found.as_ref();
        let state = match (found, topic.differences.is_empty()) {
            (None, _) => "missing",
            (Some(_), true) => "ok",
            (Some(_), false) => "differs",
        };
        let retention = found.filter(|found| found.cleanup().contains("delete")).and_then(Found::retention);
        Self {
            topic: topic.name.clone(),
            state,
            partitions: found.map(|found| found.partitions),
            replicas: found.map(|found| found.replicas.iter().copied().collect()).unwrap_or_default(),
            cleanup: found.map(|found| found.cleanup().to_owned()),
            retention_ms: retention.and_then(|after| u64::try_from(after.as_millis()).ok()),
        }
    }
}

impl Line {
    /// How long records are kept, for people.
    pub fn retention(&self) -> String {
        self.retention_ms.map_or_else(|| "-".into(), |ms| spoken(Duration::from_millis(ms)).to_string())
    }
}
