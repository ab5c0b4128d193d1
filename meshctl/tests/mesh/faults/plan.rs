//! What falls over, and when: drawn by chance from a seed, so that a run can be had again.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    /// For how long orders are placed.
    pub(crate) span: Duration,
    /// Orders a second.
    pub(crate) rate: u32,
    /// Of each service.
    pub(crate) kills: u32,
    pub(crate) broker_away: Duration,
    pub(crate) postgres_away: Duration,
    pub(crate) redis_away: Duration,
    /// Ends of a second instance, of each service that gets one.
    pub(crate) twins: &'static [(&'static str, &'static [End])],
    /// For how long a second instance stays after it has partitions.
    pub(crate) twin_stays: Duration,
}

/// How a server goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is stopped, and started again: connections break.
    Stopped,
    /// SIGSTOP and SIGCONT: connections stay and nobody answers.
    Paused,
}

/// How a second instance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM: it leaves its group.
    Asked,
    /// SIGKILL: its group finds out.
    Killed,
}

#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) server: &'static str,
    pub(crate) way: Way,
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
}

#[derive(Debug)]
pub(crate) struct Twin {
    pub(crate) service: &'static str,
    pub(crate) at: Duration,
    pub(crate) end: End,
}

/// Times are since the first order. What is in one list comes one after the other; lists go on at the same time.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kills: BTreeMap<&'static str, Vec<Duration>>,
    pub(crate) outages: Vec<Vec<Outage>>,
    pub(crate) twins: Vec<Vec<Twin>>,
}

/// Services that are killed.
pub(crate) const VICTIMS: [&str; 4] = ["orders", "dispatch", "notification", "analytics"];

impl Plan {
    pub(crate) fn draw(scale: &Scale, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let kills = VICTIMS.map(|service| (service, moments(&mut chance, scale.span, scale.kills, 0.95)));
        let servers = [("kafka", scale.broker_away), ("postgres", scale.postgres_away), ("redis", scale.redis_away)];
        let outages = servers.map(|(server, lasts)| {
            let first = chance.random_bool(0.5);
            let ways = if first { [Way::Stopped, Way::Paused] } else { [Way::Paused, Way::Stopped] };
            // early in its half of the time, so that both fit
            let at = moments(&mut chance, scale.span, 2, 0.5);
            ways.into_iter().zip(at).map(|(way, at)| Outage { server, way, at, lasts }).collect()
        });
        let twins = scale.twins.iter().map(|(service, ends)| {
            let at = moments(&mut chance, scale.span, u32::try_from(ends.len()).unwrap(), 0.5);
            ends.iter().zip(at).map(|(end, at)| Twin { service, at, end: *end }).collect()
        });
        let twins = twins.collect();
        Self { kills: kills.into(), outages: outages.into(), twins }
    }
}

/// One moment in each of `count` equal parts of the span, within the first `share` of its part.
fn moments(chance: &mut StdRng, span: Duration, count: u32, share: f64) -> Vec<Duration> {
    let part = span / count.max(1);
    (0..count).map(|turn| part * turn + part.mul_f64(chance.random_range(0.0..share))).collect()
}

/// `THROUGHLINE_FAULTS_SEED`, or one of chance.
pub(crate) fn seed() -> u64 {
    let told = std::env::var("THROUGHLINE_FAULTS_SEED").ok();
    told.map_or_else(rand::random, |text| text.parse().unwrap_or_else(|_| panic!("THROUGHLINE_FAULTS_SEED={text} is no number")))
}
