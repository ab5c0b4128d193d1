//! What is known of scenarios in this process: those that there are, who wants which, and what went wrong with the files.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::{
    Scenario, ScenarioConfig, Scenarios,
    definition::Definitions,
    state::{Active, Settings},
};

/// Why something was not switched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No scenario can be switched on here.
    Disabled,
    /// There is none of that name in this service.
    Unknown(String),
    /// What is wrong with it.
    Invalid(String),
    /// The file says that it is on.
    InFile,
}

/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    service: &'static str,
    enabled: bool,
    scenarios: Scenarios,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    /// Of this service.
    known: Definitions,
    /// By the file.
    file: Vec<Active>,
    /// By the admin port, of this process alone; wins over the file.
    own: Vec<Active>,
    /// What is on.
    on: BTreeMap<Scenario, Active>,
    error: Option<String>,
}

/// What a scenario does in this process now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) name: Scenario,
    pub(crate) on: bool,
    pub(crate) settings: Settings,
    pub(crate) until: Option<DateTime<Utc>>,
    /// It was this process alone that was told.
    pub(crate) is_own: bool,
}

impl Register {
    pub(crate) fn new(config: &ScenarioConfig, service: &'static str, scenarios: Scenarios) -> Self {
        Self { service, enabled: config.enabled, scenarios, books: Arc::default() }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// What there is, of all services.
    pub(super) fn learn(&self, definitions: Definitions) {
        let service = self.service;
        let of_service = |definition: &super::definition::Definition| definition.services.iter().any(|name| name == service);
        self.books().known = definitions.into_iter().filter(|(_, definition)| of_service(definition)).collect();
    }

    /// What the file says.
    pub(super) fn heed(&self, file: Vec<Active>) {
        self.books().file = file;
    }

    /// What is wrong with the files, if anything.
    pub(super) fn complain(&self, error: Option<String>) {
        self.books().error = error;
    }

    /// Makes what is wanted so, as it is now. To be called again and again: some end by themselves.
    pub(super) fn apply(&self, now: DateTime<Utc>) {
        let mut books = self.books();
        books.own.retain(|active| !active.is_over(now));
        let wanted = books.file.iter().chain(&books.own).filter(|active| !active.is_over(now) && books.known.contains_key(&active.name));
        let wanted: BTreeMap<Scenario, Active> = wanted.map(|active| (active.name, active.clone())).collect();
        if wanted == books.on {
            return;
        }
        for (scenario, active) in &wanted {
            if books.on.get(scenario) != Some(active) {
                tracing::warn!(%scenario, settings = %told(&active.set), until = ?active.until, "scenario on");
            }
        }
        for scenario in books.on.keys().filter(|scenario| !wanted.contains_key(scenario)) {
            tracing::warn!(%scenario, "scenario off");
        }
        self.scenarios.set(wanted.values().map(|active| (active.name, active.set.clone())).collect());
        books.on = wanted;
    }

    /// Switches one on, in this process.
    pub(crate) fn switch_on(&self, name: &str, wanted: &Settings, until: Option<DateTime<Utc>>) -> Result<(), Refusal> {
        let scenario = self.find(name)?;
        let mut books = self.books();
        let definition = books.known.get(&scenario).ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
        let set = definition.settings(wanted).map_err(|mistakes| Refusal::Invalid(mistakes.join("; ")))?;
        books.own.retain(|active| active.name != scenario);
        books.own.push(Active { name: scenario, set, until });
        drop(books);
        self.apply(Utc::now());
        Ok(())
    }

    /// Takes back what [`Self::switch_on`] did.
    pub(crate) fn switch_off(&self, name: &str) -> Result<(), Refusal> {
        let scenario = self.find(name)?;
        let mut books = self.books();
        if !books.known.contains_key(&scenario) {
            return Err(Refusal::Unknown(name.to_owned()));
        }
        books.own.retain(|active| active.name != scenario);
        let in_file = books.file.iter().any(|active| active.name == scenario && !active.is_over(Utc::now()));
        drop(books);
        self.apply(Utc::now());
        if in_file { Err(Refusal::InFile) } else { Ok(()) }
    }

    fn find(&self, name: &str) -> Result<Scenario, Refusal> {
        if !self.enabled {
            return Err(Refusal::Disabled);
        }
        Scenario::named(name).ok_or_else(|| Refusal::Unknown(name.to_owned()))
    }

    /// Every scenario of this service.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        let books = self.books();
        let reading = |name: &Scenario| {
            let active = books.on.get(name);
            let is_own = books.own.iter().any(|own| own.name == *name);
            let settings = active.map(|active| active.set.clone()).unwrap_or_default();
            Reading { name: *name, on: active.is_some(), settings, until: active.and_then(|active| active.until), is_own }
        };
        books.known.keys().map(reading).collect()
    }

    /// What is wrong with the files: they are not heeded, and what held before still does.
    pub(crate) fn error(&self) -> Option<String> {
        self.books().error.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(settings: &Settings) -> String {
    settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

impl Collector for Register {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let readings = self.readings();
        if !readings.is_empty() {
            let mut family =
                encoder.encode_descriptor("throughline_scenario_active", "1 while a scenario is on", None, MetricType::Gauge)?;
            for reading in readings {
                let labels = [("scenario", reading.name.name())];
                ConstGauge::new(i64::from(reading.on)).encode(family.encode_family(&labels)?)?;
            }
        }
        if self.enabled {
            let is_valid = i64::from(self.error().is_none());
            let help = "1 unless the files that say which scenarios are on cannot be heeded";
            let valid = encoder.encode_descriptor("throughline_scenario_files_valid", help, None, MetricType::Gauge)?;
            ConstGauge::new(is_valid).encode(valid)?;
        }
        Ok(())
    }
}
