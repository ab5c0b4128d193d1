//! Spans that are as a scenario's file says.

use std::collections::HashMap;

use anyhow::Result;
use chassis::scenario::definition::SpanSymptom;
use regex::Regex;

use crate::failure;
use crate::trace::{Span, Trace};

/// A [`SpanSymptom`] with its expressions compiled.
pub(super) struct Matcher<'a> {
    symptom: &'a SpanSymptom,
    name: Regex,
    attributes: Vec<(&'a str, Regex)>,
}

/// How many traces match, of how many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) matching: usize,
    pub(super) of: usize,
    /// The newest that matches.
    pub(super) example: Option<String>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(symptom: &'a SpanSymptom) -> Result<Self> {
        let whole = |pattern: &str| {
            Regex::new(&format!("^(?:{pattern})$")).map_err(|error| failure::usage(format!("{pattern:?} is no expression: {error}")))
        };
        let attributes = symptom.attributes.iter().map(|(key, pattern)| Ok((key.as_str(), whole(pattern)?))).collect::<Result<_>>()?;
        Ok(Self { symptom, name: whole(&symptom.name_pattern)?, attributes })
    }

    /// Of the traces in which the service has a part.
    pub(super) fn find(&self, traces: &[Trace]) -> Found {
        let concerned = traces.iter().filter(|trace| trace.spans().iter().any(|span| span.service == self.symptom.service));
        let mut found = Found { matching: 0, of: 0, example: None };
        let mut newest = 0;
        for trace in concerned {
            found.of += 1;
            if self.matches(trace) {
                found.matching += 1;
                let begin = trace.spans().first().map_or(0, |span| span.start_us);
                if begin >= newest {
                    newest = begin;
                    found.example = Some(trace.id().to_owned());
                }
            }
        }
        found
    }

    fn matches(&self, trace: &Trace) -> bool {
        let by_id: HashMap<&str, &Span> = trace.spans().iter().map(|span| (span.id.as_str(), span)).collect();
        let is_parent = |id: &str| trace.spans().iter().any(|span| span.parent.as_deref() == Some(id));
        let is_one = |span: &&Span| {
            let parent = span.parent.as_deref().and_then(|id| by_id.get(id));
            let delay = parent.map_or(0, |parent| span.start_us.saturating_sub(parent.start_us));
            span.service == self.symptom.service
                && self.name.is_match(&span.name)
                && self.attributes.iter().all(|(key, value)| span.text(key).is_some_and(|text| value.is_match(&text)))
                && milliseconds(span.duration_us) >= self.symptom.min_duration_ms
                && milliseconds(delay) >= self.symptom.min_delay_ms
                && (!self.symptom.is_root || span.parent.is_none())
                && (!self.symptom.is_leaf || !is_parent(&span.id))
        };
        trace.spans().iter().filter(is_one).count() >= self.symptom.at_least
    }
}

#[allow(clippy::cast_precision_loss, reason = "spans do not last for centuries")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}
