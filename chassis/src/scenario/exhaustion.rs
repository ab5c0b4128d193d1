//! [`Scenario::ResourceExhaustion`]: threads that count, and memory that nobody needs.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{Scenario, Scenarios};

const MIB: usize = 1 << 20;
/// Pages of memory have to be written to before they take any.
const PAGE: usize = 4096;
/// How far a thread counts before it looks whether it should go on.
const LAP: u64 = 1 << 20;

/// What is wanted: threads, and MiB.
type Wanted = (usize, usize);

/// What this process spends for nothing. Ends when dropped.
#[derive(Debug, Default)]
pub(super) struct Exhaustion {
    wanted: Wanted,
    go_on: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    memory: Vec<u8>,
}

impl Exhaustion {
    /// Spends what the scenario says now.
    pub(super) fn follow(&mut self, scenarios: &Scenarios) {
        let number = |parameter| scenarios.number(Scenario::ResourceExhaustion, parameter).unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its file bounds both")]
        let wanted = (number("cpu_threads") as usize, number("memory_mb") as usize);
        if wanted == self.wanted {
            return;
        }
        self.end();
        self.wanted = wanted;
        let (threads, mib) = wanted;
        self.memory = vec![0; mib * MIB];
        self.memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = black_box(1));
        self.go_on = Arc::new(AtomicBool::new(true));
        self.threads = (0..threads).filter_map(|_| burner(Arc::clone(&self.go_on))).collect();
    }

    fn end(&mut self) {
        self.go_on.store(false, Ordering::Relaxed);
        // each looks within a millisecond or so
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
        self.memory = Vec::new();
    }
}

impl Drop for Exhaustion {
    fn drop(&mut self) {
        self.end();
    }
}

fn burner(go_on: Arc<AtomicBool>) -> Option<JoinHandle<()>> {
    let burn = move || {
        while go_on.load(Ordering::Relaxed) {
            black_box((0..LAP).fold(0_u64, |sum, number| black_box(sum ^ number)));
        }
    };
    thread::Builder::new().name("exhaustion".to_owned()).spawn(burn).inspect_err(|error| tracing::warn!(%error, "no thread to burn")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::state::Value;

    #[test]
    fn it_spends_what_it_is_told_and_nothing_afterwards() {
        let (scenarios, mut exhaustion) = (Scenarios::default(), Exhaustion::default());
        let settings = [("cpu_threads", 2.0), ("memory_mb", 3.0)];
        let settings = settings.into_iter().map(|(name, number)| (name.to_owned(), Value::Number(number))).collect();
        scenarios.set([(Scenario::ResourceExhaustion, settings)].into());
        exhaustion.follow(&scenarios);
        assert_eq!((exhaustion.threads.len(), exhaustion.memory.len()), (2, 3 * MIB));
        assert!(exhaustion.threads.iter().all(|thread| !thread.is_finished()));
        scenarios.set([].into());
        exhaustion.follow(&scenarios);
        assert_eq!((exhaustion.threads.len(), exhaustion.memory.capacity()), (0, 0));
    }
}
