//! Which scenarios are on, as a file says it:
//!
//! ```yaml
//! on:
//!   - name: error-spike
//!     set: {percent: 50}
//!     until: 2026-01-31T12:00:00Z
//! ```

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scenario, definition::Definitions};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

impl Value {
    /// As it is written on a command line: a number where it can be read as one.
    pub fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number)
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

/// Parameters by name.
pub type Settings = BTreeMap<String, Value>;

/// The whole file. An empty one says that none is on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Those that are on.
    #[serde(default)]
    pub on: Vec<Active>,
}

/// A scenario that is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Active {
    /// Which.
    pub name: Scenario,
    /// Its parameters, where they differ from the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: Settings,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Active {
    /// Whether it has ended by itself.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl State {
    /// Reads the file's text, and checks it against what there is.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(text: &str, definitions: &Definitions) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut state: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let (mut mistakes, mut seen) = (Vec::new(), Vec::new());
        for active in &mut state.on {
            if seen.contains(&active.name) {
                mistakes.push(format!("{} is there twice", active.name));
            }
            seen.push(active.name);
            match definitions.get(&active.name) {
                None => mistakes.push(format!("{} has no definition", active.name)),
                Some(definition) => match definition.settings(&active.set) {
                    Ok(settings) => active.set = settings,
                    Err(whats) => mistakes.extend(whats.into_iter().map(|what| format!("{}: {what}", active.name))),
                },
            }
        }
        if mistakes.is_empty() { Ok(state) } else { Err(mistakes.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::definition;

    fn definitions() -> Definitions {
        definition::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/scenarios")).unwrap()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let text = "on:\n  - name: error-spike\n    set: {percent: 50}\n    until: 2026-01-31T12:00:00Z\n";
        let state = State::read(text, &definitions()).unwrap();
        let spike = &state.on[0];
        assert_eq!((&spike.set["percent"], &spike.set["status"]), (&Value::Number(50.0), &Value::Text("500".into())));
        let until: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        assert!(spike.is_over(until) && !spike.is_over(until - chrono::TimeDelta::seconds(1)));
        for nothing in ["", "\n", "# none\non: []\n"] {
            assert_eq!(State::read(nothing, &definitions()).unwrap(), State::default(), "{nothing:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_by_name_and_with_what_is_allowed() {
        for (text, told) in [
            ("on:\n  - name: error-spike\n    set: {percent: 101}\n", "percent must be 1 to 100, not 101"),
            ("on:\n  - name: error-spike\n    set: {percent: half}\n", "percent must be 1 to 100, not half"),
            ("on:\n  - name: error-spike\n    set: {share: 1}\n", "share is no parameter of error-spike; there are percent, status"),
            ("on:\n  - name: slow-query\n    set: {share: 1}\n", "there are none"),
            ("on:\n  - name: consumer-lag\n    set: {group: gateway}\n", "group must be one of analytics, dispatch, notification"),
            ("on: [{name: slow-query}, {name: slow-query}]", "slow-query is there twice"),
            ("on: [{name: no-such}]", "no-such"),
            ("on: [{name: slow-query, for: 5m}]", "for"),
            ("on: {", ""),
            ("off: []", "off"),
        ] {
            let error = State::read(text, &definitions()).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let both = "on:\n  - name: slow-endpoint\n    set: {percent: 0, delay_ms: 0}\n";
        let error = State::read(both, &definitions()).unwrap_err();
        assert!(error.contains("percent must be") && error.contains("delay_ms must be"), "{error}");
        let unknown = State::read("on: [{name: slow-query}]", &Definitions::new()).unwrap_err();
        assert_eq!(unknown, "slow-query has no definition");
    }

    #[test]
    fn what_is_written_as_json_is_read_as_yaml() {
        let until = "2026-01-31T12:00:00.5Z".parse().unwrap();
        let set = [("hop".to_owned(), Value::Text("kafka".into())), ("percent".to_owned(), Value::Number(7.5))].into();
        let state = State { on: vec![Active { name: Scenario::LostContext, set, until: Some(until) }] };
        assert_eq!(State::read(&serde_json::to_string(&state).unwrap(), &definitions()).unwrap(), state);
    }
}
