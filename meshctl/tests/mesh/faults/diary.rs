//! What happened, and when.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Value, json};
use tokio::time::Instant;

/// Counters of the consumers that are kept over the deaths of their processes.
pub(crate) const COUNTERS: [&str; 3] =
    ["throughline_consumer_duplicates_total", "throughline_consumer_retries_total", "throughline_consumer_dead_letters_total"];

/// Seconds from when to when; the second is the same for what has no length.
type Stretch = (f64, f64);

pub(crate) struct Diary {
    begun: Instant,
    faults: RefCell<BTreeMap<String, Vec<Stretch>>>,
    /// What nobody had planned.
    surprises: RefCell<Vec<String>>,
    counters: RefCell<BTreeMap<String, f64>>,
}

impl Diary {
    pub(crate) fn begin() -> Self {
        let (faults, surprises, counters) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { begun: Instant::now(), faults, surprises, counters }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Writes down a fault that began then and is over now.
    pub(crate) fn fault(&self, what: &str, since: Instant) {
        let (from, to) = ((since - self.begun).as_secs_f64(), self.begun.elapsed().as_secs_f64());
        self.faults.borrow_mut().entry(what.to_owned()).or_default().push((from, to));
    }

    pub(crate) fn surprise(&self, what: &str) {
        self.surprises.borrow_mut().push(format!("{:.1} s: {what}", self.begun.elapsed().as_secs_f64()));
    }

    pub(crate) fn surprises(&self) -> Vec<String> {
        self.surprises.borrow().clone()
    }

    /// Adds what a process that is about to end has counted.
    pub(crate) fn add(&self, counters: &[(&str, f64)]) {
        for (name, value) in counters {
            *self.counters.borrow_mut().entry((*name).to_owned()).or_default() += value;
        }
    }

    /// What processes have counted; little may be missing, of the last moment before a kill.
    pub(crate) fn counted(&self, name: &str) -> f64 {
        self.counters.borrow().get(name).copied().unwrap_or_default()
    }

    /// Kind of fault, how often, and when.
    pub(crate) fn rows(&self) -> Vec<[String; 3]> {
        let stretch = |(from, to): &Stretch| if to - from < 0.5 { format!("{from:.1}") } else { format!("{from:.1}-{to:.1}") };
        let when = |stretches: &[Stretch]| stretches.iter().map(stretch).collect::<Vec<_>>().join("  ");
        self.faults.borrow().iter().map(|(what, all)| [what.clone(), all.len().to_string(), when(all)]).collect()
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "faults": *self.faults.borrow(), "surprises": *self.surprises.borrow(), "counters": *self.counters.borrow() })
    }
}
