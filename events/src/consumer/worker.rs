//! What is done with the records of one partition, as long as it is ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::kafka::{Message, consumer::base_consumer::PartitionQueue};
use futures::{StreamExt, stream::FuturesUnordered};
use telemetry::kafka::Outcome;
use tokio::{
    sync::Notify,
    time::{sleep, sleep_until},
};

use super::{
    Handler, Record,
    attempt::{Attempts, Ended},
    group::Membership,
    lanes::{Lanes, Work},
    metrics::TopicTally,
    partition::Partition,
};

/// Bytes of a partition's records that are held at once, beside what librdkafka has fetched ahead. One record more is.
const WINDOW_BYTES: usize = 8 << 20;
/// Pause after something was unavailable; grows to the second value while it stays so.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// librdkafka says when a queue has something; this is how soon it is looked at nevertheless.
const LOOK: Duration = Duration::from_secs(1);

/// How much of a partition is in hand at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records from the first that is unfinished to the last that was taken.
    pub(super) window: usize,
    /// Keys.
    pub(super) concurrency: usize,
}

/// Rung by librdkafka when a partition's queue has something.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    heard: Notify,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.heard.notify_one();
    }
}

pub(super) struct Worker<H> {
    partition: Arc<Partition>,
    queue: PartitionQueue<Membership>,
    bell: Arc<Bell>,
    attempts: Arc<Attempts<H>>,
    tally: Arc<TopicTally>,
    limits: Limits,
    lanes: Lanes,
    /// What `lanes` and those being handled hold.
    bytes: usize,
    /// The queue had nothing more when it was last looked at.
    drained: bool,
    rest: Rest,
}

impl<H: Handler> Worker<H> {
    pub(super) fn new(
        partition: Arc<Partition>,
        mut queue: PartitionQueue<Membership>,
        attempts: Arc<Attempts<H>>,
        limits: Limits,
    ) -> Self {
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        queue.set_nonempty_callback(move || rung.ring());
        let tally = attempts.tally(&partition.topic);
        let lanes = Lanes::default();
        Self { partition, queue, bell, attempts, tally, limits, lanes, bytes: 0, drained: false, rest: Rest::default() }
    }

    /// Until the partition is given away or lost.
    pub(super) async fn run(mut self) {
        let mut running = FuturesUnordered::new();
        let partition = Arc::clone(&self.partition);
        let mut stopping = false;
        while !(stopping && running.is_empty()) {
            if !stopping {
                self.take();
                while let Some(work) = self.next(running.len()) {
                    running.push(handle(Arc::clone(&self.attempts), Arc::clone(&self.tally), partition.stop.clone(), work));
                }
            }
            tokio::select! {
                biased;
                () = partition.gone.cancelled() => break,
                () = partition.stop.cancelled(), if !stopping => stopping = true,
                Some((work, ended)) = running.next() => self.ended(work, ended),
                () = sleep_until(self.rest.until().into()), if self.rest.is_on() && !stopping => self.resume(),
                () = self.bell.heard.notified(), if self.drained && !stopping => {}
                () = sleep(LOOK), if self.drained && !stopping => self.drained = false,
            }
        }
    }

    /// Takes what is there, as far as there is room.
    fn take(&mut self) {
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            self.drained = false;
        }
        // the lock keeps the reader from pausing in the midst of this
        let mut state = self.partition.state();
        // one that is paused fetches anew what it had: not for every single record
        let window = if state.paused { self.limits.window.div_ceil(2) } else { self.limits.window };
        let mut taken = 0;
        while !self.drained && state.ledger.len() < window && self.bytes < WINDOW_BYTES {
            let Some(message) = self.queue.poll(Duration::ZERO) else {
                self.drained = true;
                break;
            };
            // librdkafka goes on by itself; readiness tells of a broker that stays away
            let Ok(message) = message else { continue };
            if state.ledger.len() == 0 {
                state.progress = Instant::now();
            }
            let (ticket, goes_on) = state.ledger.take(message.offset());
            if !goes_on {
                tracing::warn!(topic = self.partition.topic, partition = self.partition.number, "the partition begins anew");
            }
            self.bytes += self.lanes.add(ticket, Record::from(&message));
            taken += 1;
        }
        state.full_since = match state.full_since {
            _ if self.drained => None,
            Some(since) if taken == 0 => Some(since),
            _ => Some(Instant::now()),
        };
    }

    fn next(&mut self, running: usize) -> Option<Work> {
        if running >= self.limits.concurrency || self.rest.holds_all() { None } else { self.lanes.begin() }
    }

    fn ended(&mut self, work: Work, ended: Ended) {
        match (ended.outcome, ended.reason) {
            (Outcome::Processed | Outcome::Duplicate | Outcome::Ignored | Outcome::DeadLettered, _) => {
                self.bytes -= work.size();
                self.lanes.finish(&work);
                self.rest.lift();
                let mut state = self.partition.state();
                state.ledger.finish(work.ticket);
                state.progress = Instant::now();
                if !self.rest.is_on() {
                    state.trouble = None;
                }
            }
            (Outcome::Postponed, reason) => {
                if self.rest.begin() {
                    let (topic, offset) = (&work.record.topic, work.record.offset);
                    tracing::warn!(topic, partition = work.record.partition, offset, error = reason.as_deref(), "waiting");
                }
                self.lanes.postpone(work);
                self.partition.state().trouble = reason;
            }
            // the partition is being given away: nobody goes on with it here
            (Outcome::Abandoned, _) => {}
        }
    }

    fn resume(&mut self) {
        self.rest.end();
        self.lanes.resume();
    }
}

/// The record comes back with what became of it.
async fn handle<H: Handler>(
    attempts: Arc<Attempts<H>>,
    tally: Arc<TopicTally>,
    stop: tokio_util::sync::CancellationToken,
    work: Work,
) -> (Work, Ended) {
    let ended = attempts.process(&work.record, &tally, &stop).await;
    (work, ended)
}

/// The pause after something was unavailable.
#[derive(Debug)]
struct Rest {
    until: Option<Instant>,
    /// Nothing has succeeded since: then the others need not try either.
    all: bool,
    next: Duration,
}

impl Default for Rest {
    fn default() -> Self {
        Self { until: None, all: false, next: PAUSE.0 }
    }
}

impl Rest {
    /// True where it was not on.
    fn begin(&mut self) -> bool {
        self.all = true;
        if self.until.is_some() {
            return false;
        }
        self.until = Some(Instant::now() + self.next);
        self.next = (self.next * 2).min(PAUSE.1);
        true
    }

    /// Something has succeeded: only what has failed waits.
    fn lift(&mut self) {
        self.all = false;
        self.next = PAUSE.0;
    }

    fn end(&mut self) {
        self.until = None;
        self.all = false;
    }

    fn is_on(&self) -> bool {
        self.until.is_some()
    }

    fn holds_all(&self) -> bool {
        self.all
    }

    fn until(&self) -> Instant {
        self.until.unwrap_or_else(Instant::now)
    }
}
