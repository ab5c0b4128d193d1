//! Which letters are meant.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Facts, LetterId, State};

/// All that is given has to hold; nothing given: every letter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// These and no others; empty: any.
    pub ids: BTreeSet<LetterId>,
    /// Topic that the record was in, with or without the mesh's suffix.
    pub topic: Option<String>,
    /// Who gave it up.
    pub consumer: Option<String>,
    /// `permanent`, `transient` or `uncertain`.
    pub error_type: Option<String>,
    /// Part of the reason, in whatever case.
    pub reason: Option<String>,
    /// The record's key, as text or in base64.
    pub key: Option<String>,
    /// Given up then or later.
    pub since: Option<DateTime<Utc>>,
    /// Given up earlier.
    pub before: Option<DateTime<Utc>>,
    /// What was done about it.
    pub state: Option<State>,
}

impl Filter {
    /// Whether a letter in this state is meant. `suffix` is the mesh's.
    pub(super) fn admits(&self, facts: &Facts, state: State, suffix: &str) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let round = &facts.round;
        let topic = round.topic.strip_suffix(suffix).unwrap_or(&round.topic);
        (self.ids.is_empty() || self.ids.contains(&facts.id))
            && self.topic.as_ref().is_none_or(|wanted| *wanted == round.topic || *wanted == topic)
            && is(&self.consumer, &round.consumer)
            && is(&self.error_type, &round.error_type)
            && self.reason.as_ref().is_none_or(|part| round.reason.to_lowercase().contains(&part.to_lowercase()))
            && self.key.as_ref().is_none_or(|key| facts.key.as_ref() == Some(key) || facts.key_base64.as_ref() == Some(key))
            && self.since.is_none_or(|since| round.failed_at.is_some_and(|at| at >= since))
            && self.before.is_none_or(|before| round.failed_at.is_some_and(|at| at < before))
            && self.state.is_none_or(|wanted| wanted == state)
    }
}
