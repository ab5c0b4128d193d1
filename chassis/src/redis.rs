//! Redis connections: a bb8 pool of multiplexed ones, taken and given back at once, so that a slow command holds up
//! nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bb8::ManageConnection;
use bb8_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use serde::{Deserialize, Serialize};
use telemetry::redis::RedisSpans;

use crate::{
    Process, StartError,
    config::{Problems, Secret},
    pools::WatchedPool,
};

/// The `redis` table of a service's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://[:PASSWORD@]HOST:PORT[/DB]`
    pub url: Secret,
    /// Multiplexed connections.
    pub pool_size: u32,
    /// Milliseconds that connecting may take.
    pub connect_timeout_ms: u64,
    /// Milliseconds that an answer may take.
    pub response_timeout_ms: u64,
    /// Milliseconds during which, after a failure, nobody waits for Redis again.
    pub retry_after_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: Secret::new("redis://127.0.0.1:16379"),
            pool_size: 4,
            connect_timeout_ms: 300,
            response_timeout_ms: 500,
            retry_after_ms: 250,
        }
    }
}

impl RedisConfig {
    /// See [`crate::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        if self.url.expose().into_connection_info().is_err() {
            problems.add("redis.url", &self.url, "redis://[:PASSWORD@]HOST:PORT[/DB]");
        }
        if !(1..=256).contains(&self.pool_size) {
            problems.add("redis.pool_size", &self.pool_size, "1 to 256");
        }
        for (key, value) in [("redis.connect_timeout_ms", self.connect_timeout_ms), ("redis.response_timeout_ms", self.response_timeout_ms)]
        {
            if value == 0 {
                problems.add(key, &value, "at least 1");
            }
        }
    }
}

/// Redis cannot be reached, does not answer in time, or has just failed somebody else.
#[derive(Debug, thiserror::Error)]
#[error("redis is unavailable: {0}")]
pub struct RedisUnavailable(String);

impl From<RedisError> for RedisUnavailable {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// A pool. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    pool: Arc<WatchedPool<Manager>>,
    rest: Arc<Rest>,
}

/// Until when nobody tries Redis: milliseconds since `start`.
struct Rest {
    start: Instant,
    until: AtomicU64,
    length: u64,
}

impl Rest {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn begin(&self) {
        self.until.store(self.now() + self.length, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.now() < self.until.load(Ordering::Relaxed)
    }
}

impl Redis {
    /// A pool whose connections are opened when first needed, shown as `OWNER/redis`. Make one on each serving runtime.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn new(config: &RedisConfig, owner: &str, process: &Process) -> Result<Self, StartError> {
        let info = config.url.expose().into_connection_info()?;
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port),
            other => (other.to_string(), 0),
        };
        let rest = Arc::new(Rest { start: Instant::now(), until: AtomicU64::new(0), length: config.retry_after_ms });
        let manager = Manager {
            client: Client::open(info)?,
            settings: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(Duration::from_millis(config.connect_timeout_ms)))
                .set_response_timeout(Some(Duration::from_millis(config.response_timeout_ms))),
            host,
            port,
            rest: Arc::clone(&rest),
        };
        let pool = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
            .test_on_check_out(false)
            .build_unchecked(manager);
        Ok(Self { pool: WatchedPool::new(pool, format!("{owner}/redis"), process), rest })
    }

    /// A connection, to be used for as long as one likes.
    ///
    /// # Errors
    /// [`RedisUnavailable`], at once where Redis has failed somebody within the last moments.
    pub async fn connection(&self) -> Result<Connection, RedisUnavailable> {
        if self.rest.is_on() {
            return Err(RedisUnavailable("it did not answer a moment ago".into()));
        }
        loop {
            let pooled = self.pool.get().await.map_err(|error| {
                self.rest.begin();
                RedisUnavailable(error.to_string())
            })?;
            // a broken one is thrown away when it goes back
            if !pooled.broken.load(Ordering::Relaxed) {
                return Ok(pooled.clone());
            }
        }
    }

    /// `PING`, for readiness.
    ///
    /// # Errors
    /// [`RedisUnavailable`]
    pub async fn ping(&self) -> Result<(), RedisUnavailable> {
        let mut connection = self.connection().await?;
        Ok(bb8_redis::redis::cmd("PING").query_async(&mut connection).await?)
    }
}

/// One multiplexed connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    inner: RedisSpans<MultiplexedConnection>,
    broken: Arc<AtomicBool>,
    rest: Arc<Rest>,
}

async fn note<T>(call: RedisFuture<'_, T>, broken: Arc<AtomicBool>, rest: Arc<Rest>) -> Result<T, RedisError> {
    let result = call.await;
    if let Err(error) = &result
        && (error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error())
    {
        broken.store(true, Ordering::Relaxed);
        rest.begin();
    }
    result
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let (broken, rest) = (Arc::clone(&self.broken), Arc::clone(&self.rest));
        Box::pin(note(self.inner.req_packed_command(command), broken, rest))
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        let (broken, rest) = (Arc::clone(&self.broken), Arc::clone(&self.rest));
        Box::pin(note(self.inner.req_packed_commands(pipeline, offset, count), broken, rest))
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

struct Manager {
    client: Client,
    settings: AsyncConnectionConfig,
    host: String,
    port: u16,
    rest: Arc<Rest>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let inner = self.client.get_multiplexed_async_connection_with_config(&self.settings).await?;
        Ok(Connection {
            inner: RedisSpans::new(inner, &self.host, self.port),
            broken: Arc::new(AtomicBool::new(false)),
            rest: Arc::clone(&self.rest),
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        bb8_redis::redis::cmd("PING").query_async(connection).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken.load(Ordering::Relaxed)
    }
}
