//! Until when the work for a request has a point. Each hop tells the next what is left of it: `grpc-timeout`.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Status;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The deadline of the request that is being served; none where it has none.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|at| *at).ok()
}

/// What is left until the deadline, at least zero; none where there is no deadline.
pub fn left() -> Option<Duration> {
    current().map(|at| at.saturating_duration_since(Instant::now()))
}

/// Whether there is a deadline and it has passed.
pub fn is_over() -> bool {
    left().is_some_and(|left| left.is_zero())
}

/// Runs `work` with the deadline `at`, or with the one that holds already if that is earlier. `work` is not ended by it:
/// the calls are that `work` makes through [`within`](super::within).
pub async fn until<F: Future>(at: Instant, work: F) -> F::Output {
    DEADLINE.scope(current().map_or(at, |current| current.min(at)), work).await
}

/// Runs `work` with the deadline `at`; with none it is run as it is.
pub(crate) fn attached<T>(at: Option<Instant>, work: impl FnOnce() -> T) -> T {
    match at {
        Some(at) => DEADLINE.sync_scope(at, work),
        None => work(),
    }
}

/// What is answered when a deadline has passed.
pub(crate) fn passed() -> Status {
    Status::deadline_exceeded("the deadline of the request has passed")
}

/// The deadline that a call came with; one that cannot be read is none.
pub(super) fn told(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(timeout(headers.get("grpc-timeout")?.to_str().ok()?)?)
}

/// At most eight digits, and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_eight_digits_and_a_unit() {
        let read = [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("99999999m", 99_999_999), ("5000u", 5), ("7000000n", 7), ("0m", 0)];
        for (text, millis) in read {
            assert_eq!(timeout(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "m", "5", "123456789m", "-1S", "+1S", "1.5S", "1 S", "1s", "1é", "é"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn the_earlier_of_two_deadlines_holds() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_mins(1), now + Duration::from_mins(9));
        assert_eq!((current(), left(), is_over()), (None, None, false));
        assert_eq!(until(soon, until(late, async { current() })).await, Some(soon));
        assert_eq!(until(late, until(soon, async { current() })).await, Some(soon));
        assert!(until(soon, async { left() }).await.is_some_and(|left| left <= Duration::from_mins(1) && !left.is_zero()));
        assert_eq!(until(now, async { (left(), is_over()) }).await, (Some(Duration::ZERO), true));
    }

    #[tokio::test]
    async fn a_task_keeps_the_deadline_of_the_request_that_began_it() {
        let at = Instant::now() + Duration::from_mins(1);
        let tasks = until(at, async { (crate::spawn(async { current() }), crate::spawn_blocking(current)) }).await;
        assert_eq!((tasks.0.await.unwrap(), tasks.1.await.unwrap()), (Some(at), Some(at)));
        assert_eq!(crate::spawn(async { current() }).await.unwrap(), None);
    }
}
