//! Looks at a trace until it is whole, or its time is up.

use std::sync::Arc;
use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    check::{Caller, Verdict, check},
    contract::Graph,
    source::Source,
};
use crate::{backend::id::TraceId, trace::Trace};

/// Traces that are fetched at once.
const FETCHES: usize = 8;
/// When a trace is looked at for the first time, and how the pauses between looks grow.
const FIRST_LOOK: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A whole trace is looked at again after this long, three times the delay of the services' export: spans too many come late.
const SECOND_LOOK: Duration = Duration::from_millis(1500);

/// A trace to be checked.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Its id.
    pub(crate) id: TraceId,
    /// The span id that the caller sent.
    pub(crate) entry: Option<String>,
    /// When its request ended.
    pub(crate) ended: Instant,
}

/// A trace that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// As it was at the last look; without spans where it never came.
    pub(crate) trace: Trace,
    /// What is wrong with it.
    pub(crate) verdict: Verdict,
    /// From the end of the request to the first look at which no span was missing.
    pub(crate) delay: Option<Duration>,
    /// Why the backend could not be asked, the last time that it could not.
    pub(crate) failure: Option<String>,
}

/// Looks at traces in one backend.
#[derive(Debug)]
pub(crate) struct Waiter {
    source: Source,
    graph: Arc<Graph>,
    deadline: Duration,
    permits: Semaphore,
}

impl Waiter {
    /// Gives each trace `deadline` from the end of its request.
    pub(crate) fn new(source: Source, graph: Arc<Graph>, deadline: Duration) -> Self {
        Self { source, graph, deadline, permits: Semaphore::new(FETCHES) }
    }

    /// Checks a trace that is to come.
    pub(crate) async fn whole(&self, subject: Subject) -> Checked {
        let end = subject.ended + self.deadline;
        let mut pause = PAUSE;
        let mut at = subject.ended + FIRST_LOOK;
        loop {
            sleep_until(at.min(end)).await;
            let mut checked = self.look(&subject).await;
            let seen = Instant::now();
            if checked.failure.is_none() && !checked.verdict.may_heal() {
                sleep_until((seen + SECOND_LOOK).min(end.max(seen))).await;
                let again = self.look(&subject).await;
                if again.failure.is_none() {
                    checked = again;
                }
                checked.delay = Some(seen - subject.ended);
                return checked;
            }
            if seen >= end {
                return checked;
            }
            at = seen + pause;
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
    }

    /// Checks a trace as it is now.
    pub(crate) async fn look(&self, subject: &Subject) -> Checked {
        let _permit = self.permits.acquire().await;
        let (trace, failure) = match self.source.trace(subject.id).await {
            Ok(trace) => (trace, None),
            Err(err) => (None, Some(format!("{err:#}"))),
        };
        let trace = trace.unwrap_or_else(|| Trace::new(subject.id.to_string(), Vec::new()));
        let caller = subject.entry.as_deref().map_or(Caller::Unknown, Caller::Known);
        let verdict = check(&trace, &self.graph, caller);
        Checked { trace, verdict, delay: None, failure }
    }
}
