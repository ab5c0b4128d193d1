//! Redis connections: a bb8 pool of multiplexed ones, taken and given back at once, so that a slow command holds up
//! nobody. After a failure nobody waits for Redis for a while, see [`Breaker`].

mod breaker;
pub mod subscription;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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
use breaker::Probe;
pub use breaker::{Breaker, BreakerState};

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
    /// Milliseconds during which, after a failure, nobody waits for Redis again; then one caller tries for all.
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
#[error("redis is unavailable: {reason}")]
pub struct RedisUnavailable {
    reason: String,
    was_tried: bool,
}

impl RedisUnavailable {
    /// False where nobody asked Redis, since it had just failed somebody else: says nothing about Redis now.
    pub fn was_tried(&self) -> bool {
        self.was_tried
    }

    fn tried(error: &impl ToString) -> Self {
        Self { reason: error.to_string(), was_tried: true }
    }
}

impl From<RedisError> for RedisUnavailable {
    fn from(error: RedisError) -> Self {
        Self::tried(&error)
    }
}

/// A pool. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    pool: Arc<WatchedPool<Manager>>,
    breaker: Breaker,
}

impl Redis {
    /// A pool whose connections are opened when first needed, shown as `OWNER/redis`. Make one on each serving runtime.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn new(config: &RedisConfig, owner: &str, process: &Process) -> Result<Self, StartError> {
        Self::behind(&Breaker::new(config), config, owner, process)
    }

    /// As [`Redis::new`], behind a breaker that other pools of the same server are behind too: what one of them has learned
    /// all know.
    ///
    /// # Errors
    /// As [`Redis::new`].
    pub fn behind(breaker: &Breaker, config: &RedisConfig, owner: &str, process: &Process) -> Result<Self, StartError> {
        let info = config.url.expose().into_connection_info()?;
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port),
            other => (other.to_string(), 0),
        };
        let manager = Manager {
            client: Client::open(info)?,
            settings: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(Duration::from_millis(config.connect_timeout_ms)))
                .set_response_timeout(Some(Duration::from_millis(config.response_timeout_ms))),
            host,
            port,
            breaker: breaker.clone(),
        };
        let pool = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
            .test_on_check_out(false)
            .build_unchecked(manager);
        Ok(Self { pool: WatchedPool::new(pool, format!("{owner}/redis"), process), breaker: breaker.clone() })
    }

    /// A connection, to be used for as long as one likes.
    ///
    /// # Errors
    /// [`RedisUnavailable`], at once where Redis has failed somebody within the last moments.
    pub async fn connection(&self) -> Result<Connection, RedisUnavailable> {
        let refused = |()| RedisUnavailable { reason: "it did not answer a moment ago".into(), was_tried: false };
        let probe = self.breaker.enter().map_err(refused)?.map(Arc::new);
        let epoch = self.breaker.epoch();
        loop {
            let pooled = self.pool.get().await.map_err(|error| {
                self.breaker.failed(epoch);
                RedisUnavailable::tried(&error)
            })?;
            // one that is not trusted is thrown away when it goes back
            if pooled.is_trusted() {
                return Ok(Connection { probe, ..pooled.clone() });
            }
        }
    }

    /// Whether Redis is asked, and by whom.
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
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
    breaker: Breaker,
    /// The breaker's epoch in which it was made.
    made: u64,
    /// Where its user tries for all.
    probe: Option<Arc<Probe>>,
}

impl Connection {
    fn is_trusted(&self) -> bool {
        !self.broken.load(Ordering::Relaxed) && self.made == self.breaker.epoch()
    }

    /// What a command tells about the connection.
    fn witness(&self) -> Witness {
        Witness { broken: Arc::clone(&self.broken), breaker: self.breaker.clone(), made: self.made, probe: self.probe.clone() }
    }
}

struct Witness {
    broken: Arc<AtomicBool>,
    breaker: Breaker,
    made: u64,
    probe: Option<Arc<Probe>>,
}

impl Witness {
    async fn see<T>(self, call: RedisFuture<'_, T>) -> Result<T, RedisError> {
        let result = call.await;
        match &result {
            Err(error) if error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() => {
                self.broken.store(true, Ordering::Relaxed);
                self.breaker.failed(self.made);
            }
            // what Redis refuses is an answer too
            _ => self.probe.iter().for_each(|probe| probe.succeeded()),
        }
        result
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let witness = self.witness();
        Box::pin(witness.see(self.inner.req_packed_command(command)))
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        let witness = self.witness();
        Box::pin(witness.see(self.inner.req_packed_commands(pipeline, offset, count)))
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
    breaker: Breaker,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let made = self.breaker.epoch();
        let inner = self.client.get_multiplexed_async_connection_with_config(&self.settings).await?;
        Ok(Connection {
            inner: RedisSpans::new(inner, &self.host, self.port),
            broken: Arc::new(AtomicBool::new(false)),
            breaker: self.breaker.clone(),
            made,
            probe: None,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        bb8_redis::redis::cmd("PING").query_async(connection).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_trusted()
    }
}
