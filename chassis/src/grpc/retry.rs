//! Calls that may be made again, and the bound of how many of those there are.
//! <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::{Channel, deadline, within};

/// Attempts after the first.
const REPEATS: u32 = 2;
/// The longest pause before the first of them; before each further one it is twice as long.
const PAUSE: Duration = Duration::from_millis(25);

impl Channel {
    /// As [`within`], for a call which may be made any number of times with the effect of one: where it is `UNAVAILABLE`
    /// it is made again, after a pause of random length, or of the length that the callee asks for
    /// (`google.rpc.RetryInfo`), if that is short and there is time for it. There are at most three attempts within `limit`, and but one
    /// while most calls on this channel fail.
    ///
    /// # Errors
    /// The last attempt's, as of [`within`].
    pub async fn idempotent<T, M, F>(&self, limit: Duration, message: M, mut call: impl FnMut(Request<M>) -> F) -> Result<T, Status>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let end = Instant::now() + limit;
        let left = || end.saturating_duration_since(Instant::now());
        let mut repeats = 0;
        loop {
            let result = within(left(), message.clone(), &mut call).await;
            let Err(status) = &result else {
                self.budget.succeeded();
                return result;
            };
            let Some(pause) = self.budget.repeat_after(status, repeats) else { return result };
            if pause >= deadline::left().map_or_else(left, |of_request| of_request.min(left())) {
                return result;
            }
            tokio::time::sleep(pause).await;
            repeats += 1;
        }
    }
}

/// Who is asked to wait for longer passes that on instead of making its own caller wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a channel's failures have left of its calls' right to be repeated.
#[derive(Debug)]
pub(super) struct Budget {
    /// Thousandths of a token.
    tokens: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: AtomicU32::new(Self::FULL) }
    }
}

impl Budget {
    const FULL: u32 = 10_000;
    const FAILURE: u32 = 1_000;
    const SUCCESS: u32 = 100;

    fn succeeded(&self) {
        if self.tokens.load(Ordering::Relaxed) < Self::FULL {
            self.change(|tokens| Self::FULL.min(tokens + Self::SUCCESS));
        }
    }

    /// Counts a failure; the pause before the call may be repeated, none where it may not.
    fn repeat_after(&self, status: &Status, repeats: u32) -> Option<Duration> {
        if status.code() != Code::Unavailable {
            return None;
        }
        let tokens = self.change(|tokens| tokens.saturating_sub(Self::FAILURE));
        if repeats >= REPEATS || tokens <= Self::FULL / 2 {
            return None;
        }
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
        if asked > PATIENCE {
            return None;
        }
        Some(asked.max((PAUSE * 2_u32.pow(repeats)).mul_f64(rand::random())))
    }

    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let before = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| Some(change(tokens)));
        change(before.unwrap_or_else(|tokens| tokens))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn unavailable() -> Status {
        Status::unavailable("away")
    }

    #[test]
    fn a_call_is_repeated_twice_after_pauses_that_grow() {
        for _ in 0..100 {
            let budget = Budget::default();
            assert!(budget.repeat_after(&unavailable(), 0).unwrap() <= PAUSE);
            assert!(budget.repeat_after(&unavailable(), 1).unwrap() <= 2 * PAUSE);
            assert_eq!(budget.repeat_after(&unavailable(), 2), None);
        }
    }

    #[test]
    fn only_what_is_unavailable_is_repeated() {
        let budget = Budget::default();
        for code in (1..=16).map(Code::from_i32).filter(|code| *code != Code::Unavailable) {
            assert_eq!(budget.repeat_after(&Status::new(code, ""), 0), None, "{code:?}");
        }
    }

    #[test]
    fn nothing_is_repeated_while_half_of_the_calls_fail_and_ten_successes_pay_for_a_failure() {
        let budget = Budget::default();
        let repeated = (0..20).filter(|_| budget.repeat_after(&unavailable(), 0).is_some()).count();
        assert_eq!(repeated, 4);
        (0..60).for_each(|_| budget.succeeded());
        assert_eq!(budget.repeat_after(&unavailable(), 0), None);
        (0..11).for_each(|_| budget.succeeded());
        assert!(budget.repeat_after(&unavailable(), 0).is_some());
        (0..1_000).for_each(|_| budget.succeeded());
        assert_eq!(budget.tokens.load(Ordering::Relaxed), Budget::FULL);
    }

    #[test]
    fn the_callee_says_when_to_come_back_and_for_a_long_wait_its_caller_does() {
        let after = |wait: u64| {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(wait)));
            Budget::default().repeat_after(&Status::with_error_details(Code::Unavailable, "away", details), 0)
        };
        assert_eq!([after(150), after(1_000)], [Some(Duration::from_millis(150)), None]);
    }
}
