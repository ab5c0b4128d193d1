//! Spans that have ended, encoded, on their way to the exporter's thread.
//!
//! A span is encoded where it ends, while it is in that core's caches, and its parts are freed by the thread that made them:
//! handing the SDK's data over instead cost more than all that the spans say.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::InstrumentationScope;

use super::encode;

/// Buffers that are kept for the next batches: one is filled while another is sent.
const SPARE: usize = 2;
/// A buffer that has grown beyond this many bytes is not kept.
const LARGEST_SPARE: usize = 4 << 20;

/// Spans that travel in one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Members of `ScopeSpans`, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// Each scope in its turn, and where in the bytes its spans end.
    pub(super) scopes: Vec<(InstrumentationScope, usize)>,
    pub(super) spans: usize,
    since: Option<Instant>,
}

impl Batch {
    pub(super) fn push(&mut self, scope: &InstrumentationScope, span: &[u8]) {
        encode::frame(2, span.len(), &mut self.bytes);
        self.bytes.extend_from_slice(span);
        self.spans += 1;
        match self.scopes.last_mut() {
            Some((last, end)) if last == scope => *end = self.bytes.len(),
            _ => self.scopes.push((scope.clone(), self.bytes.len())),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    open: Batch,
    full: VecDeque<Batch>,
    spare: Vec<Vec<u8>>,
    exporting: bool,
    /// Somebody waits until nothing is left.
    hurry: bool,
    life: Life,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Life {
    #[default]
    Running,
    /// Takes nothing more, and exports what it has.
    Stopping,
    Ended,
}

impl State {
    fn close(&mut self) -> Batch {
        let bytes = self.spare.pop().unwrap_or_default();
        std::mem::replace(&mut self.open, Batch { bytes, ..Batch::default() })
    }

    fn is_done(&self) -> bool {
        self.open.spans == 0 && self.full.is_empty() && !self.exporting
    }
}

/// Batches of at most `size` spans. None waits longer than `interval` for more.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the exporter: a batch is full, or somebody is in a hurry.
    work: Condvar,
    /// For who is in a hurry.
    done: Condvar,
    size: usize,
    interval: Duration,
}

impl Queue {
    pub(super) fn new(size: usize, interval: Duration) -> Self {
        // no time at all would keep the exporter awake
        let interval = interval.max(Duration::from_millis(1));
        Self { state: Mutex::default(), work: Condvar::new(), done: Condvar::new(), size, interval }
    }

    /// Adds an encoded span; false where nobody exports any more.
    pub(super) fn push(&self, scope: &InstrumentationScope, span: &[u8]) -> bool {
        let mut state = self.state();
        if state.life != Life::Running {
            return false;
        }
        if state.open.spans == 0 {
            state.open.since = Some(Instant::now());
        }
        state.open.push(scope, span);
        if state.open.spans >= self.size {
            let full = state.close();
            state.full.push_back(full);
            drop(state);
            self.work.notify_one();
        }
        true
    }

    /// Waits for the next batch to export; none when it is over. Whoever asks has exported the one before.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut state = self.state();
        state.exporting = false;
        loop {
            let waited = state.open.since.map_or(Duration::ZERO, |since| since.elapsed());
            let due = waited >= self.interval || state.hurry || state.life != Life::Running;
            let batch = state.full.pop_front().or_else(|| (due && state.open.spans > 0).then(|| state.close()));
            if batch.is_some() {
                state.exporting = true;
                return batch;
            }
            if due {
                state.hurry = false;
                if state.life == Life::Stopping {
                    state.life = Life::Ended;
                }
                self.done.notify_all();
            }
            if state.life == Life::Ended {
                return None;
            }
            let rest = self.interval.saturating_sub(waited);
            state = self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the buffer of a batch that is sent, for a next one.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.state();
        if state.spare.len() < SPARE && buffer.capacity() <= LARGEST_SPARE {
            state.spare.push(buffer);
        }
    }

    /// Waits until what is queued now has been exported; false where that takes longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.state();
        state.hurry = true;
        self.work.notify_one();
        let wait = self.done.wait_timeout_while(state, timeout, |state| !state.is_done());
        !wait.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes no further spans, and waits until what is queued has been exported, in the same way.
    pub(super) fn stop(&self, timeout: Duration) -> bool {
        let mut state = self.state();
        if state.life == Life::Running {
            state.life = Life::Stopping;
        }
        self.work.notify_one();
        let wait = self.done.wait_timeout_while(state, timeout, |state| state.life != Life::Ended);
        !wait.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// A panic of another holder leaves nothing half-done in here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn scope() -> InstrumentationScope {
        InstrumentationScope::builder("tested").build()
    }

    #[test]
    fn a_full_batch_goes_at_once_and_the_rest_when_its_time_has_come() {
        let interval = Duration::from_millis(20);
        let queue = Queue::new(2, interval);
        let begun = Instant::now();
        for span in [b"a", b"b", b"c"] {
            assert!(queue.push(&scope(), span));
        }
        assert_eq!(queue.next().unwrap().bytes, [0x12, 1, b'a', 0x12, 1, b'b']);
        let rest = queue.next().unwrap();
        assert!(begun.elapsed() >= interval, "{:?}", begun.elapsed());
        assert_eq!((rest.spans, rest.bytes), (1, vec![0x12, 1, b'c']));
    }

    #[test]
    fn who_flushes_or_stops_waits_for_what_is_left_and_nothing_is_taken_after_that() {
        let queue = Arc::new(Queue::new(10, LONG));
        let exporter = thread::spawn({
            let queue = Arc::clone(&queue);
            move || std::iter::from_fn(|| queue.next()).map(|batch| batch.spans).sum::<usize>()
        });
        assert!(queue.push(&scope(), b"one"));
        assert!(queue.flush(LONG));
        assert!(queue.push(&scope(), b"other"));
        assert!(queue.stop(LONG));
        assert!(!queue.push(&scope(), b"late"));
        assert_eq!(exporter.join().unwrap(), 2);
    }

    #[test]
    fn nobody_waits_longer_than_told_for_a_batch_that_does_not_end() {
        let queue = Queue::new(1, LONG);
        assert!(queue.push(&scope(), b"span"));
        assert_eq!(queue.next().unwrap().spans, 1);
        let short = Duration::from_millis(1);
        assert!(!queue.flush(short) && !queue.stop(short), "it is being exported");
    }

    #[test]
    fn buffers_are_used_again() {
        let queue = Queue::new(1, LONG);
        queue.give_back(Vec::with_capacity(4096));
        assert!(queue.push(&scope(), b"into the first, which is nobody's"));
        assert!(queue.push(&scope(), b"into the one that was given back"));
        let capacities = [(); 2].map(|()| queue.next().unwrap().bytes.capacity());
        assert_eq!(capacities[1], 4096);
    }
}
