//! Who asks Redis after it has failed: nobody for a moment, then one, and everybody once that one was answered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::RedisConfig;

/// What a [`Breaker`] lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everybody.
    Closed,
    /// Nobody: Redis has failed a moment ago.
    Open,
    /// One who tries, and nobody else until that one knows.
    HalfOpen,
}

/// A circuit breaker. Clones are one.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_closed: AtomicBool,
    /// How often it has opened. A connection that is older than the last failure is not trusted.
    epoch: AtomicU64,
    state: Mutex<State>,
    rest: Duration,
    /// How long somebody may try before another one may.
    patience: Duration,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probe: u64, until: Instant },
}

impl Breaker {
    /// A closed one that rests for `redis.retry_after_ms` after each failure.
    pub fn new(config: &RedisConfig) -> Self {
        let patience = Duration::from_millis(config.connect_timeout_ms.saturating_add(config.response_timeout_ms));
        Self(Arc::new(Shared {
            is_closed: AtomicBool::new(true),
            epoch: AtomicU64::new(0),
            state: Mutex::new(State::Closed),
            rest: Duration::from_millis(config.retry_after_ms),
            patience,
        }))
    }

    /// What it would let through now.
    pub fn state(&self) -> BreakerState {
        match *self.lock() {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// Whether somebody may ask Redis; the one who tries for all gets a [`Probe`].
    pub(super) fn enter(&self) -> Result<Option<Probe>, ()> {
        if self.0.is_closed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (mut state, now) = (self.lock(), Instant::now());
        let last = match *state {
            State::Closed => return Ok(None),
            State::Open { until } if now >= until => 0,
            State::HalfOpen { probe, until } if now >= until => probe,
            State::Open { .. } | State::HalfOpen { .. } => return Err(()),
        };
        let number = last + 1;
        *state = State::HalfOpen { probe: number, until: later(now, self.0.patience) };
        Ok(Some(Probe { breaker: self.clone(), number, epoch: self.epoch() }))
    }

    /// A connection, or the attempt to make one, has failed. Of those of one epoch only the first one counts: the others
    /// say nothing that was not known.
    pub(super) fn failed(&self, epoch: u64) {
        let mut state = self.lock();
        if epoch == self.epoch() {
            self.0.epoch.fetch_add(1, Ordering::Relaxed);
            self.0.is_closed.store(false, Ordering::Relaxed);
            *state = State::Open { until: later(Instant::now(), self.0.rest) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time that is too far away never comes.
fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + Duration::from_hours(24 * 365))
}

/// Somebody tries for all. Who goes away without having learned anything leaves the place to the next one.
#[derive(Debug)]
pub(super) struct Probe {
    breaker: Breaker,
    number: u64,
    epoch: u64,
}

impl Probe {
    /// Redis has answered.
    pub(super) fn succeeded(&self) {
        self.end(|shared, state| {
            *state = State::Closed;
            shared.is_closed.store(true, Ordering::Relaxed);
        });
    }

    /// Unless another one tries by now, or something has failed since.
    fn end(&self, change: impl FnOnce(&Shared, &mut State)) {
        let mut state = self.breaker.lock();
        let mine = matches!(*state, State::HalfOpen { probe, .. } if probe == self.number) && self.epoch == self.breaker.epoch();
        if mine {
            change(&self.breaker.0, &mut state);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.end(|_, state| *state = State::Open { until: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a rest and a patience that are over at once, or never.
    fn breaker(rest_ms: u64, patience_ms: u64) -> Breaker {
        let config =
            RedisConfig { retry_after_ms: rest_ms, connect_timeout_ms: patience_ms, response_timeout_ms: 0, ..RedisConfig::default() };
        Breaker::new(&config)
    }

    #[test]
    fn while_it_is_closed_everybody_passes() {
        let breaker = breaker(u64::MAX, u64::MAX);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!((0..3).all(|_| matches!(breaker.enter(), Ok(None))));
    }

    #[test]
    fn after_a_failure_nobody_passes_until_it_has_rested() {
        let breaker = breaker(u64::MAX, u64::MAX);
        breaker.failed(breaker.epoch());
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.enter().is_err());
    }

    #[test]
    fn then_one_tries_and_who_succeeds_opens_the_way_for_all() {
        let breaker = breaker(0, u64::MAX);
        breaker.failed(breaker.epoch());
        let probe = breaker.enter().unwrap().expect("one tries");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!((0..3).all(|_| breaker.enter().is_err()));
        probe.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        drop(probe);
        assert!(matches!(breaker.enter(), Ok(None)));
    }

    #[test]
    fn one_who_fails_opens_it_again() {
        let breaker = breaker(0, u64::MAX);
        breaker.failed(breaker.epoch());
        let probe = breaker.enter().unwrap().unwrap();
        breaker.failed(breaker.epoch());
        // what it says after that is of no interest
        probe.succeeded();
        drop(probe);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn one_who_goes_away_leaves_the_place_to_the_next() {
        let breaker = breaker(0, u64::MAX);
        breaker.failed(breaker.epoch());
        drop(breaker.enter().unwrap().expect("one tries"));
        assert!(breaker.enter().unwrap().is_some());
    }

    #[test]
    fn one_who_takes_too_long_is_not_waited_for() {
        let breaker = breaker(0, 0);
        breaker.failed(breaker.epoch());
        let slow = breaker.enter().unwrap().expect("one tries");
        let next = breaker.enter().unwrap().expect("another one tries");
        drop(slow);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        next.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn connections_of_before_a_failure_do_not_open_it_once_more() {
        let breaker = breaker(0, u64::MAX);
        let before = breaker.epoch();
        breaker.failed(before);
        breaker.enter().unwrap().unwrap().succeeded();
        breaker.failed(before);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
