//! A partition that is ours, as the reader, its worker and readiness see it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;

/// A partition that has taken nothing for this long, since it has enough in hand, is paused.
const FULL_FOR: Duration = Duration::from_millis(500);

/// Shared by all who have to do with a partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) number: i32,
    /// Cancelled when it is to be given away: nothing more is begun, what is being handled is finished.
    pub(super) stop: CancellationToken,
    /// Cancelled when it is not ours any more: everything is dropped where it stands.
    pub(super) gone: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    /// When something was last finished, or came when there was nothing to do.
    pub(super) progress: Instant,
    /// Since when it takes nothing, since it has enough in hand.
    pub(super) full_since: Option<Instant>,
    /// The broker is not asked for more.
    pub(super) paused: bool,
    /// Why records wait, where they do.
    pub(super) trouble: Option<String>,
}

impl Partition {
    /// `gone` is cancelled with `abandoned`.
    pub(super) fn new(topic: &str, number: i32, abandoned: &CancellationToken) -> Self {
        let (ledger, progress) = (Ledger::default(), Instant::now());
        Self {
            topic: topic.to_owned(),
            number,
            stop: CancellationToken::new(),
            gone: abandoned.child_token(),
            state: Mutex::new(State { ledger, progress, full_since: None, paused: false, trouble: None }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is stuck: it has had work for longer than `limit`, in hand or by its lag, and none of it was finished.
    pub(super) fn stuck(&self, limit: Duration, behind_since: Option<Instant>) -> Option<String> {
        let state = self.state();
        let idle = state.progress.elapsed();
        let behind = behind_since.is_some_and(|since| since.elapsed() > limit);
        if idle <= limit || (state.ledger.len() == 0 && !behind) {
            return None;
        }
        let what = match (state.ledger.waiting(), &state.trouble) {
            (Some(offset), Some(trouble)) => format!("offset {offset} waits: {trouble}"),
            (Some(offset), None) => format!("offset {offset} is not done"),
            (None, _) => "records are there and do not come".to_owned(),
        };
        Some(format!("{} partition {}: nothing was finished for {} s ({what})", self.topic, self.number, idle.as_secs()))
    }
}

impl State {
    /// Whether fetching has to be stopped (true) or can go on (false); none where it is as it should be.
    pub(super) fn wants_pause(&self) -> Option<bool> {
        match (self.paused, self.full_since) {
            (false, Some(since)) if since.elapsed() >= FULL_FOR => Some(true),
            (true, None) => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    fn idle_for(seconds: u64) -> Partition {
        let partition = Partition::new("t", 3, &CancellationToken::new());
        partition.state().progress = ago(seconds);
        partition
    }

    #[test]
    fn a_partition_without_work_is_never_stuck_however_long_ago_the_last_was() {
        assert_eq!(idle_for(600).stuck(LIMIT, None), None);
        assert_eq!(idle_for(600).stuck(LIMIT, Some(ago(5))), None, "what has just come may take its time");
    }

    #[test]
    fn records_that_do_not_come_are_stuck_too() {
        let expected = "t partition 3: nothing was finished for 41 s (records are there and do not come)";
        assert_eq!(idle_for(41).stuck(LIMIT, Some(ago(40))).as_deref(), Some(expected));
        assert_eq!(idle_for(2).stuck(LIMIT, Some(ago(40))), None, "something was finished lately");
    }

    #[test]
    fn a_record_in_hand_that_is_not_finished_is_stuck_and_said_to_be_with_its_reason() {
        let partition = idle_for(31);
        let (ticket, _) = partition.state().ledger.take(17);
        partition.state().trouble = Some("postgres is unavailable".into());
        let expected = "t partition 3: nothing was finished for 31 s (offset 17 waits: postgres is unavailable)";
        assert_eq!(partition.stuck(LIMIT, None).as_deref(), Some(expected));
        partition.state().ledger.finish(ticket);
        assert_eq!(partition.stuck(LIMIT, None), None);
    }

    #[test]
    fn fetching_is_paused_after_a_while_without_room_and_goes_on_with_it() {
        let partition = idle_for(0);
        let mut state = partition.state();
        assert_eq!(state.wants_pause(), None);
        state.full_since = Some(Instant::now());
        assert_eq!(state.wants_pause(), None, "a partition that is merely busy");
        state.full_since = Some(ago(1));
        assert_eq!(state.wants_pause(), Some(true));
        state.paused = true;
        assert_eq!(state.wants_pause(), None);
        state.full_since = None;
        assert_eq!(state.wants_pause(), Some(false));
    }
}
