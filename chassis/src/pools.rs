//! Connection pools that `/metrics` tells of while they live.
//! <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/#connection-pools>

mod waits;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use bb8::{ManageConnection, PooledConnection, RunError};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use waits::Waits;

use crate::Process;

/// A bb8 pool that its process's metrics know for as long as somebody owns it.
#[derive(Debug)]
pub struct WatchedPool<M: ManageConnection> {
    inner: bb8::Pool<M>,
    waiting: AtomicI64,
    waits: Waits,
}

impl<M: ManageConnection> WatchedPool<M> {
    /// Tells `process` of the pool. Pools of one name (a service has one on each serving thread) are shown as one.
    pub fn new(inner: bb8::Pool<M>, name: String, process: &Process) -> Arc<Self> {
        let pool = Arc::new(Self { inner, waiting: AtomicI64::new(0), waits: process.pools.waits(&name) });
        let watched = Arc::downgrade(&pool);
        process.pools.watch(process, name, move || Some(watched.upgrade()?.reading()));
        pool
    }

    /// A connection.
    ///
    /// # Errors
    /// bb8's
    pub async fn get(&self) -> Result<PooledConnection<'_, M>, RunError<M::Error>> {
        let (_waiting, since) = (Waiting::begin(&self.waiting), Instant::now());
        let got = self.inner.get().await;
        match &got {
            Ok(_) => self.waits.got(since.elapsed()),
            Err(RunError::TimedOut) => self.waits.gave_up(),
            Err(RunError::User(_)) => {}
        }
        got
    }

    /// A connection that may outlive the borrow, if there is one to be had without waiting for others to give theirs back.
    pub async fn spare(&self) -> Option<PooledConnection<'static, M>> {
        let Reading { used, max, .. } = self.reading();
        if used < max { self.inner.get_owned().await.ok() } else { None }
    }

    /// A connection beside the pool.
    ///
    /// # Errors
    /// The manager's
    pub async fn dedicated(&self) -> Result<M::Connection, M::Error> {
        self.inner.dedicated_connection().await
    }

    fn reading(&self) -> Reading {
        let state = self.inner.state();
        let (all, idle) = (i64::from(state.connections), i64::from(state.idle_connections));
        Reading { idle, used: all - idle, max: i64::from(self.inner.config().max_size), waiting: self.waiting.load(Ordering::Relaxed) }
    }
}

/// Counts somebody who waits, however the waiting ends.
struct Waiting<'a>(&'a AtomicI64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicI64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reading {
    idle: i64,
    used: i64,
    max: i64,
    waiting: i64,
}

/// Reads a pool; none where nobody owns it any more.
type Read = Box<dyn Fn() -> Option<Reading> + Send + Sync>;

/// The pools of a process.
#[derive(Clone, Default)]
pub(crate) struct Pools(Arc<Shared>);

#[derive(Default)]
struct Shared {
    watched: Mutex<Vec<(String, Read)>>,
    waits: Mutex<BTreeMap<String, Waits>>,
    is_registered: AtomicBool,
}

impl Pools {
    fn watch(&self, process: &Process, name: String, read: impl Fn() -> Option<Reading> + Send + Sync + 'static) {
        // the registry's lock is never taken within ours: a scrape takes them the other way round
        if !self.0.is_registered.swap(true, Ordering::Relaxed) {
            process.registry().register_collector(Box::new(self.clone()));
        }
        self.watched().push((name, Box::new(read)));
    }

    /// Where pools of that name count.
    fn waits(&self, name: &str) -> Waits {
        self.all_waits().entry(name.to_owned()).or_default().clone()
    }

    fn all_waits(&self) -> MutexGuard<'_, BTreeMap<String, Waits>> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, Vec<(String, Read)>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By name, summed; the pools that are gone are forgotten.
    fn readings(&self) -> BTreeMap<String, Reading> {
        let mut sums = BTreeMap::<String, Reading>::new();
        self.watched().retain(|(name, read)| {
            let Some(reading) = read() else { return false };
            let sum = sums.entry(name.clone()).or_default();
            sum.idle += reading.idle;
            sum.used += reading.used;
            sum.max += reading.max;
            sum.waiting += reading.waiting;
            true
        });
        sums
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pools").field(&self.watched().len()).finish()
    }
}

impl Pools {
    fn encode_readings(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let readings = self.readings();
        if readings.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor("db_client_connection_count", "Connections by state", None, MetricType::Gauge)?;
        for (name, reading) in &readings {
            for (state, count) in [("idle", reading.idle), ("used", reading.used)] {
                let labels = [("db_client_connection_pool_name", name.as_str()), ("db_client_connection_state", state)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut gauge = |name, help, value: fn(&Reading) -> i64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            readings.iter().try_for_each(|(name, reading)| ConstGauge::new(value(reading)).encode(family.encode_family(&label(name))?))
        };
        gauge("db_client_connection_max", "Connections that there may be", |reading| reading.max)?;
        gauge("db_client_connection_pending_requests", "Requests that wait for a connection", |reading| reading.waiting)
    }
}

fn label(pool: &str) -> [(&str, &str); 1] {
    [("db_client_connection_pool_name", pool)]
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_readings(&mut encoder)?;
        waits::encode(&self.all_waits(), &mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use prometheus_client::encoding::text::encode;

    use super::*;

    /// How long these tests wait for a connection that does not come.
    const SHORT: std::time::Duration = std::time::Duration::from_millis(300);

    struct Numbers;

    impl ManageConnection for Numbers {
        type Connection = u8;
        type Error = Infallible;

        async fn connect(&self) -> Result<u8, Infallible> {
            Ok(7)
        }

        async fn is_valid(&self, _: &mut u8) -> Result<(), Infallible> {
            Ok(())
        }

        fn has_broken(&self, _: &mut u8) -> bool {
            false
        }
    }

    fn pool(size: u32, process: &Process) -> Arc<WatchedPool<Numbers>> {
        WatchedPool::new(
            bb8::Pool::builder().max_size(size).connection_timeout(SHORT).build_unchecked(Numbers),
            "numbers/test".into(),
            process,
        )
    }

    fn shown(process: &Process) -> String {
        let mut text = String::new();
        encode(&mut text, &process.registry()).unwrap();
        text
    }

    fn expect(process: &Process, lines: &[&str]) {
        let text = shown(process);
        for line in lines {
            let labels = "{db_client_connection_pool_name=\"numbers/test\"";
            let line = line.replacen('{', labels, 1);
            assert!(text.lines().any(|shown| shown == line), "no {line} in {text}");
        }
    }

    #[tokio::test]
    async fn pools_of_one_name_are_summed_and_those_that_are_gone_are_not_shown() {
        let process = Process::default();
        assert!(!shown(&process).contains("db_client"));
        let (one, other) = (pool(1, &process), pool(2, &process));
        drop(other.get().await.unwrap());
        let taken = one.get().await.unwrap();
        let mut waits = Box::pin(one.get());
        assert!(futures::poll!(&mut waits).is_pending());
        let (idle, used) = (",db_client_connection_state=\"idle\"} 1", ",db_client_connection_state=\"used\"} 1");
        expect(
            &process,
            &[
                &format!("db_client_connection_count{{{idle}"),
                &format!("db_client_connection_count{{{used}"),
                "db_client_connection_max{} 3",
                "db_client_connection_pending_requests{} 1",
            ],
        );
        // whoever gives up waits no more
        drop(waits);
        drop(taken);
        drop(other);
        expect(&process, &["db_client_connection_max{} 1", "db_client_connection_pending_requests{} 0"]);
        drop(one);
        assert!(!shown(&process).contains("db_client_connection_count"));
    }

    #[tokio::test]
    async fn waits_are_counted_by_name_and_outlast_their_pools() {
        let process = Process::default();
        let (one, other) = (pool(1, &process), pool(1, &process));
        let taken = one.get().await.unwrap();
        drop(other.get().await.unwrap());
        expect(&process, &["db_client_connection_wait_time_seconds_count{} 2", "db_client_connection_timeouts_total{} 0"]);
        assert!(matches!(one.get().await, Err(RunError::TimedOut)));
        drop(taken);
        drop((one, other));
        expect(&process, &["db_client_connection_wait_time_seconds_count{} 2", "db_client_connection_timeouts_total{} 1"]);
        let bucket = "db_client_connection_wait_time_seconds_bucket{le=\"0.1\",db_client_connection_pool_name=\"numbers/test\"} 2";
        assert!(shown(&process).lines().any(|line| line == bucket), "{}", shown(&process));
    }
}
