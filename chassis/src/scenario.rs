//! Faults on purpose. Business code asks one question at the points where a scenario changes what it does.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde::{Deserialize, Serialize};

/// A fault that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Scenario {
    /// A statement for each row of a list instead of one for all.
    NPlusOne,
    /// A predicate that no index serves.
    SlowQuery,
}

/// The `scenarios` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioConfig {
    /// The scenarios that are on; in a variable they are separated by commas.
    pub on: Vec<Scenario>,
}

/// Which scenarios are on, now. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Scenarios(Arc<AtomicU32>);

impl Scenarios {
    /// With these on and all others off.
    pub fn new(config: &ScenarioConfig) -> Self {
        let scenarios = Self::default();
        config.on.iter().for_each(|scenario| scenarios.switch(*scenario, true));
        scenarios
    }

    /// Whether it is on: one load of one word.
    pub fn is_on(&self, scenario: Scenario) -> bool {
        self.0.load(Ordering::Relaxed) & bit(scenario) != 0
    }

    /// Switches one on or off.
    pub fn switch(&self, scenario: Scenario, on: bool) {
        if on {
            self.0.fetch_or(bit(scenario), Ordering::Relaxed);
        } else {
            self.0.fetch_and(!bit(scenario), Ordering::Relaxed);
        }
    }
}

fn bit(scenario: Scenario) -> u32 {
    1 << scenario as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_switched_one_by_one_and_clones_see_it() {
        let scenarios = Scenarios::new(&ScenarioConfig { on: vec![Scenario::NPlusOne] });
        let clone = scenarios.clone();
        assert!(clone.is_on(Scenario::NPlusOne) && !clone.is_on(Scenario::SlowQuery));
        scenarios.switch(Scenario::SlowQuery, true);
        scenarios.switch(Scenario::NPlusOne, false);
        assert!(!clone.is_on(Scenario::NPlusOne) && clone.is_on(Scenario::SlowQuery));
    }
}
