//! What follows from an attempt to send a mail.

use std::time::Duration;

use super::{failure::Failure, store::Report};
use crate::consumer::HandleError;

/// Sendings of unknown end after which a mail is not sent any more: the first was the mail, the second its one possible duplicate.
const MOST_UNCERTAIN: i32 = 2;

#[derive(Debug)]
pub(super) enum Verdict {
    /// The server has it.
    Sent,
    /// It is taken again after the delay.
    Again(Report, Duration),
    /// No mail is to blame: it is taken again when mail can leave again.
    Wait(Report),
    /// To the dead letters.
    Bury(Report, HandleError),
}

/// The end of a mail that was taken too often without a known end; none where it may be sent (once more).
pub(super) fn before(known: &Report) -> Option<Verdict> {
    (known.uncertain >= MOST_UNCERTAIN).then(|| {
        let text = "the mail was handed over twice and no answer is known: it may have been sent once, twice or not at all";
        let text = known.error.as_ref().map_or_else(|| text.to_owned(), |error| format!("{text}; the last time: {error}"));
        Verdict::Bury(known.clone(), HandleError::uncertain(text))
    })
}

/// `known` is what was known before the attempt, `delay` that before the next one: none where there is no next one.
pub(super) fn after(result: Result<(), Failure>, known: &Report, delay: Option<Duration>) -> Verdict {
    let report = |attempts, uncertain, error: String| Report {
        attempts: known.attempts + attempts,
        uncertain: known.uncertain + uncertain,
        error: Some(error),
    };
    match result {
        Ok(()) => Verdict::Sent,
        Err(Failure::Away(text)) => Verdict::Wait(report(0, 0, text)),
        Err(Failure::Uncertain(text)) => {
            let report = report(0, 1, text);
            before(&report).unwrap_or(Verdict::Wait(report))
        }
        Err(Failure::Refused(error)) => match (delay, &error) {
            (Some(delay), HandleError::Transient(_)) => Verdict::Again(report(1, 0, error.to_string()), delay),
            _ => Verdict::Bury(report(1, 0, error.to_string()), error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    fn known(attempts: i32, uncertain: i32) -> Report {
        Report { attempts, uncertain, error: None }
    }

    #[test]
    fn a_refusal_for_now_is_repeated_while_there_are_delays_and_one_for_good_is_not() {
        let later = || Err(Failure::Refused(HandleError::transient("full")));
        assert!(matches!(after(later(), &known(0, 0), Some(DELAY)), Verdict::Again(Report { attempts: 1, uncertain: 0, .. }, DELAY)));
        assert!(matches!(after(later(), &known(3, 0), None), Verdict::Bury(Report { attempts: 4, .. }, HandleError::Transient(_))));
        let never = Err(Failure::Refused(HandleError::permanent("unknown")));
        assert!(matches!(after(never, &known(0, 0), Some(DELAY)), Verdict::Bury(Report { attempts: 1, .. }, HandleError::Permanent(_))));
    }

    #[test]
    fn a_server_that_is_away_costs_no_mail_an_attempt() {
        let away = Err(Failure::Away("gone".into()));
        assert!(matches!(after(away, &known(2, 1), None), Verdict::Wait(Report { attempts: 2, uncertain: 1, .. })));
    }

    #[test]
    fn a_mail_of_unknown_end_is_sent_once_more_and_never_a_third_time() {
        let unknown = || Err(Failure::Uncertain("silence".into()));
        assert!(matches!(after(unknown(), &known(0, 0), Some(DELAY)), Verdict::Wait(Report { uncertain: 1, .. })));
        assert!(before(&known(0, 1)).is_none());
        for verdict in [Some(after(unknown(), &known(0, 1), Some(DELAY))), before(&known(0, 2)), before(&known(0, 3))] {
            let Some(Verdict::Bury(Report { uncertain: 2.., .. }, error)) = verdict else { panic!("{verdict:?}") };
            assert_eq!(error.kind(), "uncertain");
        }
    }
}
