//! How long connections are waited for, and how often in vain.

use std::{collections::BTreeMap, fmt, time::Duration};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::Counter, histogram::Histogram},
    registry::Unit,
};

use super::label;

/// In seconds: those that the conventions advise for operations, for most waits are none.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// What those who asked pools of one name for a connection have met. It outlasts the pools: threads come and go.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    times: Histogram,
    timeouts: Counter,
}

impl Default for Waits {
    fn default() -> Self {
        Self { times: Histogram::new(BUCKETS), timeouts: Counter::default() }
    }
}

impl Waits {
    pub(super) fn got(&self, after: Duration) {
        self.times.observe(after.as_secs_f64());
    }

    pub(super) fn gave_up(&self) {
        self.timeouts.inc();
    }
}

/// By the name of the pools.
pub(super) fn encode(all: &BTreeMap<String, Waits>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, help) = ("db_client_connection_wait_time", "Time until there was a connection");
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    all.iter().try_for_each(|(name, waits)| waits.times.encode(family.encode_family(&label(name))?))?;
    let (name, help) = ("db_client_connection_timeouts", "Requests that gave up waiting for a connection");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    all.iter().try_for_each(|(name, waits)| waits.timeouts.encode(family.encode_family(&label(name))?))
}
