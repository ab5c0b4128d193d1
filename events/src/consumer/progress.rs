//! Whether a consumer gets on with its work, for readiness.

use std::time::Duration;

use super::{group::Assigned, metrics::Lag};

/// Answers `/readyz`.
#[derive(Clone)]
pub(super) struct Progress {
    pub(super) assigned: Assigned,
    pub(super) lag: Lag,
    /// How long nothing may be finished while there is something to do.
    pub(super) limit: Duration,
}

impl Progress {
    /// A member that has joined and has no partition since there are fewer than members is ready: it stands by, and a rollout
    /// that waits for it would wait for ever.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let partitions = self.assigned.partitions();
        if partitions.is_empty() {
            return if self.lag.is_spare() { Ok(()) } else { Err("no partition is assigned".into()) };
        }
        let mut stuck = partitions.iter().filter_map(|of| of.stuck(self.limit, self.lag.behind_since(&of.topic, of.number)));
        match stuck.next() {
            None => Ok(()),
            Some(first) => match stuck.count() {
                0 => Err(first),
                more => Err(format!("{first}, and {more} more")),
            },
        }
    }
}
