//! Pauses while something is away, and who may try whether it is back.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

/// The first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A pause that grows.
#[derive(Debug, Default)]
pub(super) struct Pause(Duration);

impl Pause {
    /// The next one: twice the one before, by chance up to a fifth shorter.
    pub(super) fn longer(&mut self) -> Duration {
        self.0 = (self.0 * 2).clamp(PAUSE.0, PAUSE.1);
        self.0.mul_f64(rand::rng().random_range(0.8..1.0))
    }
}

/// Open, or closed while something is away.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pause: Pause,
    closed_until: Option<Instant>,
}

impl Gate {
    /// Something failed. True where it had been fine before.
    pub(super) fn close(&mut self) -> bool {
        let now = Instant::now();
        match self.closed_until {
            // failures that were under way when it was closed
            Some(until) if now < until => false,
            before => {
                self.closed_until = Some(now + self.pause.longer());
                before.is_none()
            }
        }
    }

    /// It works. True where it had failed before.
    pub(super) fn open(&mut self) -> bool {
        self.pause = Pause::default();
        self.closed_until.take().is_some()
    }

    /// How many may be on their way in addition to `busy`, of `all`: one alone tries whether it works again.
    pub(super) fn room(&self, all: usize, busy: usize) -> usize {
        match self.closed_until {
            None => all.saturating_sub(busy),
            Some(until) if Instant::now() >= until => 1_usize.saturating_sub(busy),
            Some(_) => 0,
        }
    }

    /// When the pause is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..12).map(|_| pause.longer()).collect();
        assert!(pauses[0] <= PAUSE.0 && pauses[0] > PAUSE.0 / 2, "{pauses:?}");
        assert!(pauses[3] > pauses[0] && pauses.iter().all(|pause| *pause <= PAUSE.1), "{pauses:?}");
    }

    #[test]
    fn while_closed_nobody_goes_then_one_and_all_when_it_works() {
        let mut gate = Gate::default();
        assert_eq!(gate.room(8, 3), 5);
        assert!(gate.close() && !gate.close(), "it is told once");
        assert_eq!(gate.room(8, 0), 0);
        gate.closed_until = Some(Instant::now());
        assert_eq!((gate.room(8, 0), gate.room(8, 1)), (1, 0));
        assert!(!gate.close(), "it is still away");
        assert!(gate.open() && !gate.open());
        assert_eq!(gate.room(8, 0), 8);
    }
}
