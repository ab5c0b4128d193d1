//! What a service shares with the process that it runs in.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use prometheus_client::registry::Registry;
use telemetry::{Mode, logs::CallLevel};
use tokio::time::{Duration, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    StartError,
    grpc::{self, Channel},
    pools::Pools,
    runtime::RuntimeConfig,
    scenario::Scenarios,
    spawn,
    tls::Tls,
};

type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Handed to `App::build`: when to stop, whether the service is ready, and the registry behind `/metrics`.
#[derive(Clone, Default)]
pub struct Process {
    /// Cancelled when the process should stop: finish what was begun and return.
    pub shutdown: CancellationToken,
    /// What `/readyz` and grpc.health.v1 answer.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics: Arc<Mutex<Registry>>,
    /// Which faults are wanted.
    pub scenarios: Scenarios,
    pub(crate) pools: Pools,
    runtime: RuntimeConfig,
    mode: Mode,
    pub(crate) tls: Option<Tls>,
    pub(crate) calls: CallLevel,
    background: TaskTracker,
}

/// How long background work may take after a stop.
const BACKGROUND_DRAIN: Duration = Duration::from_secs(5);

impl Process {
    /// A process whose servers serve on these threads, while spans are made as `mode` says. ([`Process::default`] is that
    /// with all defaults.)
    pub fn new(runtime: RuntimeConfig, mode: Mode) -> Self {
        Self { runtime, mode, ..Self::default() }
    }

    /// The same, with servers and channels that speak TLS.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The same, with servers of gRPC that log each call at `level`.
    #[must_use]
    pub fn with_calls_at(self, level: CallLevel) -> Self {
        Self { calls: level, ..self }
    }

    /// A channel to the service at `uri`, by TLS where the settings ask for it, whatever the scheme. Make one on each
    /// serving thread, inside its runtime: the connection lives on the runtime that made it.
    ///
    /// # Errors
    /// Where `uri` is none, or asks for TLS where `tls.mode` is `off`.
    pub fn channel(&self, uri: &str) -> Result<Channel, StartError> {
        grpc::open(uri, self.tls.as_ref(), &self.scenarios)
    }

    /// [`Process::metrics`], locked: to register something.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits of a thread per connection, where that is how the servers serve.
    pub(crate) fn thread_per_connection(&self) -> Option<RuntimeConfig> {
        self.runtime.thread_per_connection(self.mode).then_some(self.runtime)
    }

    /// Runs work beside the servers; the process waits for it before it ends. It has to heed [`Process::shutdown`].
    pub fn background(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(spawn(self.background.track_future(work)));
    }

    /// Waits, for a while, until all background work has ended.
    pub(crate) async fn drained(&self) {
        self.background.close();
        if timeout(BACKGROUND_DRAIN, self.background.wait()).await.is_err() {
            tracing::warn!("background work did not end in time");
        }
    }
}

/// Named checks, all of which must pass, and whether all of them are known.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
    complete: Arc<AtomicBool>,
}

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

impl Readiness {
    /// Adds a check; an error says what is missing.
    pub fn require<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check: Check = Box::new(move || check().boxed());
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// From now on the checks decide; before, nothing is ready, as the admin port answers earlier than the service knows what
    /// it needs. The servers of chassis say it when they begin; whoever serves otherwise says it himself.
    pub fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Runs all checks, at the same time; the failed ones by name, with their reasons.
    pub async fn failures(&self) -> Vec<(&'static str, String)> {
        if !self.complete.load(Ordering::Acquire) {
            return vec![("start", "not yet serving".to_owned())];
        }
        let running: Vec<_> = {
            let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
            checks.iter().map(|(name, check)| (*name, check())).collect()
        };
        let results = join_all(running.into_iter().map(|(name, check)| async move {
            let result = timeout(CHECK_TIMEOUT, check).await;
            (name, result.unwrap_or_else(|_| Err("no answer within 1 s".into())))
        }));
        results.await.into_iter().filter_map(|(name, result)| result.err().map(|reason| (name, reason))).collect()
    }
}
