//! On which threads connections are served.

use serde::{Deserialize, Serialize};
use telemetry::Mode;

use crate::config::Problems;

/// How connections are spread over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// `thread-per-connection` in telemetry mode `ebpf`, else `shared`.
    #[default]
    Auto,
    /// Any thread of the runtime serves any connection: the fastest.
    Shared,
    /// Each connection is served on a thread of its own, with clients of its own, one request at a time: a service that
    /// OBI can follow, since it ties an outgoing call to the request whose thread made it.
    ThreadPerConnection,
}

/// The `runtime` table of every service's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    /// `auto`, `shared` or `thread-per-connection`.
    pub model: Model,
    /// In `thread-per-connection`: connections that are served at the same time, each on its thread, streams apart.
    pub threads: usize,
    /// In `thread-per-connection`: streams that are open at the same time, such as live events, each on a connection and a
    /// thread of its own beside `threads`; one more is refused.
    pub max_streams: usize,
    /// In `thread-per-connection`: milliseconds that a connection waits for a thread before it is refused.
    pub queue_timeout_ms: u64,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { model: Model::Auto, threads: 64, max_streams: 32, queue_timeout_ms: 2_000 }
    }
}

impl RuntimeConfig {
    /// The model, decided.
    pub(crate) fn thread_per_connection(&self, mode: Mode) -> bool {
        match self.model {
            Model::Auto => mode == Mode::Ebpf,
            Model::Shared => false,
            Model::ThreadPerConnection => true,
        }
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        if !(1..=1024).contains(&self.threads) {
            problems.add("runtime.threads", &self.threads, "1 to 1024");
        }
        if !(1..=1024).contains(&self.max_streams) {
            problems.add("runtime.max_streams", &self.max_streams, "1 to 1024");
        }
        if self.queue_timeout_ms == 0 {
            problems.add("runtime.queue_timeout_ms", &self.queue_timeout_ms, "at least 1");
        }
    }
}
