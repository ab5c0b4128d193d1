//! Faults on purpose. Business code asks one question at the points where a scenario changes what it does; while none is on,
//! that is one load of one word. What there is to know of a scenario stands in its [file](definition); which are on, in another
//! [file](state), which is [watched](watch), and on the admin port.

pub mod definition;
mod exhaustion;
mod register;
pub mod state;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch as signal;

use crate::config::Problems;
pub(crate) use register::{Refusal, Register};
use state::Settings;

/// A fault that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Scenario {
    /// No single flight and no jitter: what is asked for most expires for everybody at once.
    CacheStampede,
    /// Connections are taken from a pool and not given back.
    ConnectionLeak,
    /// A consumer takes its time for each record.
    ConsumerLag,
    /// A gRPC server answers after its caller's deadline.
    DeadlineExceeded,
    /// Requests are answered with a server error.
    ErrorSpike,
    /// A hop does not pass the trace context on.
    LostContext,
    /// A statement for each row of a list instead of one for all.
    NPlusOne,
    /// A producer also writes records that nobody can read.
    PoisonMessages,
    /// A process burns processor time and holds memory.
    ResourceExhaustion,
    /// A route takes its time.
    SlowEndpoint,
    /// A predicate that no index serves.
    SlowQuery,
}

impl Scenario {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::CacheStampede,
        Self::ConnectionLeak,
        Self::ConsumerLag,
        Self::DeadlineExceeded,
        Self::ErrorSpike,
        Self::LostContext,
        Self::NPlusOne,
        Self::PoisonMessages,
        Self::ResourceExhaustion,
        Self::SlowEndpoint,
        Self::SlowQuery,
    ];

    /// As it is called in files, commands and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::CacheStampede => "cache-stampede",
            Self::ConnectionLeak => "connection-leak",
            Self::ConsumerLag => "consumer-lag",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::ErrorSpike => "error-spike",
            Self::LostContext => "lost-context",
            Self::NPlusOne => "n-plus-one",
            Self::PoisonMessages => "poison-messages",
            Self::ResourceExhaustion => "resource-exhaustion",
            Self::SlowEndpoint => "slow-endpoint",
            Self::SlowQuery => "slow-query",
        }
    }

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The parameters that the code asks for. Its file gives each a default and says what is allowed.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::CacheStampede => &["ttl_seconds"],
            Self::ConnectionLeak => &["percent"],
            Self::ConsumerLag => &["delay_ms", "group"],
            Self::DeadlineExceeded => &["delay_ms", "percent"],
            Self::ErrorSpike => &["percent", "status"],
            Self::LostContext => &["hop", "percent"],
            Self::NPlusOne | Self::SlowQuery => &[],
            Self::PoisonMessages => &["percent", "topic"],
            Self::ResourceExhaustion => &["cpu_threads", "memory_mb"],
            Self::SlowEndpoint => &["delay_ms", "percent", "route"],
        }
    }

    fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The `scenarios` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioConfig {
    /// Whether any can be switched on. False in production.
    pub enabled: bool,
    /// Folder with a file for each scenario; empty: none can be switched on.
    pub directory: String,
    /// File that says which are on; empty: only the admin port does.
    pub state: String,
    /// Milliseconds between two looks at both.
    pub poll_interval_ms: u64,
}

impl Default for ScenarioConfig {
    fn default() -> Self {
        Self { enabled: true, directory: String::new(), state: String::new(), poll_interval_ms: 250 }
    }
}

impl ScenarioConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        if !(10..=60_000).contains(&self.poll_interval_ms) {
            problems.add("scenarios.poll_interval_ms", &self.poll_interval_ms, "10 to 60000");
        }
    }
}

/// Which scenarios are on, now, in this process. Clones share it.
#[derive(Clone)]
pub struct Scenarios(Arc<Shared>);

struct Shared {
    bits: AtomicU32,
    settings: RwLock<BTreeMap<Scenario, Settings>>,
    /// What is kept for as long as a scenario is on.
    held: Mutex<Vec<(Scenario, Box<dyn Any + Send>)>>,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    changed: signal::Sender<()>,
}

impl Default for Scenarios {
    fn default() -> Self {
        let shared = Shared {
            bits: AtomicU32::new(0),
            settings: RwLock::default(),
            held: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            changed: signal::Sender::new(()),
        };
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for Scenarios {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = Scenario::ALL.into_iter().filter(|scenario| self.is_on(*scenario));
        formatter.debug_set().entries(on).finish()
    }
}

impl Scenarios {
    /// Whether it is on: one load of one word.
    pub fn is_on(&self, scenario: Scenario) -> bool {
        self.0.bits.load(Ordering::Relaxed) & scenario.bit() != 0
    }

    /// A number that it was given; none while it is off.
    pub fn number(&self, scenario: Scenario, parameter: &str) -> Option<f64> {
        self.setting(scenario, |settings| settings.get(parameter)?.number())
    }

    /// A text that it was given; none while it is off.
    pub fn text(&self, scenario: Scenario, parameter: &str) -> Option<String> {
        self.setting(scenario, |settings| settings.get(parameter)?.text().map(str::to_owned))
    }

    /// Whether it is on for this text.
    pub fn is_about(&self, scenario: Scenario, parameter: &str, text: &str) -> bool {
        self.setting(scenario, |settings| Some(settings.get(parameter)?.text() == Some(text))).unwrap_or(false)
    }

    /// Whether it is this one's turn: in `percent` of all cases, by chance.
    pub fn strikes(&self, scenario: Scenario) -> bool {
        self.number(scenario, "percent").is_some_and(|percent| rand::rng().random_range(0.0..100.0) < percent)
    }

    /// Waits for `delay_ms` while it is on, and no longer; where it has a `percent`, only so many do.
    pub async fn pause(&self, scenario: Scenario) {
        if scenario.parameters().contains(&"percent") && !self.strikes(scenario) {
            return;
        }
        let Some(delay) = self.number(scenario, "delay_ms") else { return };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(delay / 1e3)) => {}
            () = self.ended(scenario) => {}
        }
    }

    /// As [`Self::pause`], one after the other in this process.
    pub async fn pause_in_turn(&self, scenario: Scenario) {
        if self.is_on(scenario) {
            let _turn = self.0.turn.lock().await;
            self.pause(scenario).await;
        }
    }

    /// Keeps something for as long as it is on.
    pub fn hold(&self, scenario: Scenario, thing: impl Any + Send) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        // looked at under the lock: whoever switches it off takes the lock after that
        if self.is_on(scenario) {
            held.push((scenario, Box::new(thing)));
        }
    }

    /// Completes when it is off.
    async fn ended(&self, scenario: Scenario) {
        let mut changes = self.0.changed.subscribe();
        // the sender lives as long as we do
        while self.is_on(scenario) && changes.changed().await.is_ok() {}
    }

    fn setting<T>(&self, scenario: Scenario, read: impl FnOnce(&Settings) -> Option<T>) -> Option<T> {
        if !self.is_on(scenario) {
            return None;
        }
        let settings = self.0.settings.read().unwrap_or_else(PoisonError::into_inner);
        read(settings.get(&scenario)?)
    }

    /// Switches these on, with what they are given, and all others off.
    pub fn set(&self, on: BTreeMap<Scenario, Settings>) {
        let bits = on.keys().fold(0, |bits, scenario| bits | scenario.bit());
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = on;
        self.0.bits.store(bits, Ordering::Relaxed);
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> = held.extract_if(.., |(scenario, _)| !self.is_on(*scenario)).collect();
        drop(held);
        drop(ended);
        self.0.changed.send_replace(());
    }
}
