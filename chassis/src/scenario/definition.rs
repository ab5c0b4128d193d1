//! What there is to know of a scenario: a file `NAME.yaml` that the services read for what is allowed, `meshctl` for what is to be
//! seen, and people for why. Its JSON Schema is `deploy/scenarios/schema.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Scenario,
    state::{Settings, Value},
};

/// One scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, which is the file's too.
    pub name: Scenario,
    /// What goes wrong, in one sentence.
    pub summary: String,
    /// What it does, and when that happens for real.
    pub description: String,
    /// `service.name` of those in which it does something.
    #[schemars(length(min = 1))]
    pub services: Vec<String>,
    /// What can be set, and to what.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Requests under which it shows.
    pub load: String,
    /// What is seen from outside.
    pub symptoms: Symptoms,
    /// The span that gives the cause away.
    pub smoking_gun: SpanSymptom,
    /// From the symptom to the cause, step by step.
    #[schemars(length(min = 1))]
    pub diagnosis: Vec<String>,
    /// What would have to be mended, were it no scenario.
    pub fix: String,
}

/// Something that can be set: a number, or one of some words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Number(NumberParameter),
    /// A word.
    Text(TextParameter),
}

/// A number within bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberParameter {
    /// What it is where nobody says anything.
    pub default: f64,
    /// The least that is allowed.
    pub min: f64,
    /// The most that is allowed.
    pub max: f64,
    /// What it means.
    pub description: String,
}

/// One of some words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextParameter {
    /// What it is where nobody says anything.
    pub default: String,
    /// What is allowed.
    #[schemars(length(min = 1))]
    pub one_of: Vec<String>,
    /// What it means.
    pub description: String,
}

/// What is seen of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Symptoms {
    /// In Prometheus or Mimir.
    #[schemars(length(min = 1))]
    pub metrics: Vec<MetricSymptom>,
    /// In Tempo, Jaeger or the embedded backend.
    #[serde(default)]
    pub traces: Vec<SpanSymptom>,
    /// In Loki, or in the services' log files.
    #[serde(default)]
    pub logs: Vec<LogSymptom>,
    /// Names of alerts that fire.
    #[serde(default)]
    pub alerts: Vec<String>,
}

/// A query whose value crosses a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSymptom {
    /// PromQL; `$window` stands for the time over which rates are taken. Of several values the largest counts.
    pub query: String,
    /// The value that it exceeds.
    pub above: f64,
    /// What that means.
    pub says: String,
}

/// Spans of one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanSymptom {
    /// The same question for Tempo.
    pub traceql: String,
    /// `service.name`.
    pub service: String,
    /// Regular expression for the whole span name.
    pub name_pattern: String,
    /// Attributes and regular expressions for their whole values.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Milliseconds that the span takes at least.
    #[serde(default)]
    pub min_duration_ms: f64,
    /// Milliseconds from the start of its parent to its own, at least.
    #[serde(default)]
    pub min_delay_ms: f64,
    /// Share of the service's traces that have such spans, at least; 0: one of them.
    #[serde(default)]
    pub share: f64,
    /// How many such spans the trace has, at least.
    #[serde(default = "one")]
    pub at_least: usize,
    /// Whether it has to be a trace's first span.
    #[serde(default)]
    pub is_root: bool,
    /// Whether it may have no span below it.
    #[serde(default)]
    pub is_leaf: bool,
    /// What that means.
    pub says: String,
}

fn one() -> usize {
    1
}

/// Lines of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSymptom {
    /// `service.name`.
    pub service: String,
    /// What the line contains.
    pub contains: String,
    /// What that means.
    pub says: String,
}

/// A file, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.file.display(), self.what)
    }
}

/// The scenarios that are known here.
pub type Definitions = BTreeMap<Scenario, Definition>;

/// All `*.yaml` of a folder. Every mistake is told; where there is one, there are no definitions.
///
/// # Errors
/// The mistakes.
pub fn read(directory: &Path) -> Result<Definitions, Vec<Mistake>> {
    let mistake = |file: &Path, what: String| Mistake { file: file.to_owned(), what };
    let files = files(directory).map_err(|error| vec![mistake(directory, format!("cannot be read: {error}"))])?;
    let (mut definitions, mut mistakes) = (Definitions::new(), Vec::new());
    for file in files {
        match fs::read_to_string(&file).map_err(|error| vec![format!("cannot be read: {error}")]).and_then(|text| Definition::read(&text)) {
            Ok(definition) if file.file_stem().is_none_or(|stem| stem != definition.name.name()) => {
                mistakes
                    .push(mistake(&file, format!("name: is {}, and the file must be called {}.yaml", definition.name, definition.name)));
            }
            Ok(definition) => drop(definitions.insert(definition.name, definition)),
            Err(whats) => mistakes.extend(whats.into_iter().map(|what| mistake(&file, what))),
        }
    }
    if mistakes.is_empty() { Ok(definitions) } else { Err(mistakes) }
}

/// Kubernetes keeps folders and links of its own, with names that begin with a dot, in what it mounts.
pub(super) fn files(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "yaml") && !is_hidden(path)).collect())
}

impl Definition {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong with it: all of it, once it can be read as what it is.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let definition: Self = serde_saphyr::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mistakes = definition.mistakes();
        if mistakes.is_empty() { Ok(definition) } else { Err(mistakes) }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let (wanted, given): (BTreeSet<&str>, BTreeSet<&str>) =
            (self.name.parameters().iter().copied().collect(), self.parameters.keys().map(String::as_str).collect());
        mistakes.extend(wanted.difference(&given).map(|name| format!("parameters.{name}: is missing")));
        mistakes.extend(given.difference(&wanted).map(|name| format!("parameters.{name}: is not known of {}", self.name)));
        for (name, parameter) in &self.parameters {
            if let Err(allowed) = parameter.check(&parameter.default()) {
                mistakes.push(format!("parameters.{name}.default: must be {allowed}"));
            }
        }
        if self.services.is_empty() {
            mistakes.push("services: must name at least one".to_owned());
        }
        if self.symptoms.metrics.is_empty() {
            mistakes.push("symptoms.metrics: must have at least one".to_owned());
        }
        mistakes
    }

    /// What every parameter is, given what somebody wants.
    ///
    /// # Errors
    /// All that is wrong with that, each as `PARAMETER must be ...`.
    pub fn settings(&self, wanted: &Settings) -> Result<Settings, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut settings: Settings = self.parameters.iter().map(|(name, parameter)| (name.clone(), parameter.default())).collect();
        for (name, value) in wanted {
            match self.parameters.get(name) {
                None => {
                    let known: Vec<_> = self.parameters.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    mistakes.push(format!("{name} is no parameter of {}; there are {known}", self.name));
                }
                Some(parameter) => match parameter.check(value) {
                    Ok(value) => drop(settings.insert(name.clone(), value)),
                    Err(allowed) => mistakes.push(format!("{name} must be {allowed}, not {value}")),
                },
            }
        }
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
    }
}

impl Parameter {
    /// What it is where nobody says anything.
    pub fn default(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.default),
            Self::Text(text) => Value::Text(text.default.clone()),
        }
    }

    /// What it means.
    pub fn description(&self) -> &str {
        match self {
            Self::Number(number) => &number.description,
            Self::Text(text) => &text.description,
        }
    }

    /// What is allowed, for people.
    pub fn allowed(&self) -> String {
        match self {
            Self::Number(number) => format!("{} to {}", number.min, number.max),
            Self::Text(text) => format!("one of {}", text.one_of.join(", ")),
        }
    }

    /// The value; what is allowed where it is not. A word may look like a number.
    fn check(&self, value: &Value) -> Result<Value, String> {
        let checked = match (self, value) {
            (Self::Number(number), Value::Number(value)) if (number.min..=number.max).contains(value) => Some(Value::Number(*value)),
            (Self::Text(text), value) if text.one_of.contains(&value.to_string()) => Some(Value::Text(value.to_string())),
            _ => None,
        };
        checked.ok_or_else(|| self.allowed())
    }
}
