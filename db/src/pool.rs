//! Connections to Postgres: a bb8 pool of diesel-async connections with every timeout set and a span per statement.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use chassis::{
    Process, StartError,
    config::{Problems, Secret},
    pools::WatchedPool,
    scenario::{Scenario, Scenarios},
};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use telemetry::sql::SqlSpans;
use tokio_postgres::{NoTls, config::Host};

use crate::connection::Connection;

/// The `database` table of a service's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`
    pub url: Secret,
    /// Connections.
    pub pool_size: u32,
    /// Milliseconds that a request waits for a connection.
    pub acquire_timeout_ms: u64,
    /// Milliseconds that a unit of work may take, waiting for its connection included.
    pub work_timeout_ms: u64,
    /// `statement_timeout`, in milliseconds.
    pub statement_timeout_ms: u64,
    /// `lock_timeout`, in milliseconds.
    pub lock_timeout_ms: u64,
    /// `idle_in_transaction_session_timeout`, in milliseconds.
    pub idle_in_transaction_timeout_ms: u64,
    /// For development: each statement is logged (target `sql`, without bind values) with its duration.
    pub echo: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            pool_size: 20,
            acquire_timeout_ms: 1_000,
            work_timeout_ms: 1_500,
            statement_timeout_ms: 30_000,
            lock_timeout_ms: 5_000,
            idle_in_transaction_timeout_ms: 10_000,
            echo: false,
        }
    }
}

impl DatabaseConfig {
    /// See [`chassis::config::ServiceConfig::check`].
    pub fn check(&self, problems: &mut Problems) {
        if self.url.expose().parse::<tokio_postgres::Config>().is_err() || self.url.expose().is_empty() {
            problems.add("database.url", &self.url, "postgres://USER:PASSWORD@HOST:PORT/DATABASE");
        }
        if !(1..=1000).contains(&self.pool_size) {
            problems.add("database.pool_size", &self.pool_size, "1 to 1000");
        }
        for (key, value) in [("database.acquire_timeout_ms", self.acquire_timeout_ms), ("database.work_timeout_ms", self.work_timeout_ms)] {
            if value == 0 {
                problems.add(key, &value, "at least 1");
            }
        }
    }
}

/// Postgres cannot be reached, has no connection to spare, or does not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("postgres is unavailable: {0}")]
pub struct DatabaseUnavailable(String);

/// A connection taken from a [`Pool`].
pub type PooledConnection<'a> = bb8::PooledConnection<'a, Manager>;
type Manager = AsyncDieselConnectionManager<Connection>;

/// A pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<WatchedPool<Manager>>,
    work_timeout: Duration,
    scenarios: Scenarios,
}

impl Pool {
    /// A pool whose connections are opened when first needed and show as `application_name` in `pg_stat_activity` and
    /// `application_name/postgresql` in the metrics of `process`. Make one on each serving runtime.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn new(config: &DatabaseConfig, application_name: &str, process: &Process) -> Result<Self, StartError> {
        let settings = connection_settings(config, application_name)?;
        let echo = config.echo;
        if echo {
            warn_of_echo();
        }
        let mut manager = ManagerConfig::default();
        // a round trip at each checkout buys nothing: `get` sees closed connections, and any may close a moment later
        manager.recycling_method = RecyclingMethod::Fast;
        manager.custom_setup = Box::new(move |_| connect(settings.clone(), echo).boxed());
        let inner = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(Duration::from_millis(config.acquire_timeout_ms))
            .test_on_check_out(false)
            .build_unchecked(AsyncDieselConnectionManager::new_with_config(config.url.expose(), manager));
        let inner = WatchedPool::new(inner, format!("{application_name}/postgresql"), process);
        Ok(Self { inner, work_timeout: Duration::from_millis(config.work_timeout_ms), scenarios: process.scenarios.clone() })
    }

    /// A connection that was open a moment ago.
    ///
    /// # Errors
    /// [`DatabaseUnavailable`] after the acquire timeout.
    pub async fn get(&self) -> Result<PooledConnection<'_>, DatabaseUnavailable> {
        if self.scenarios.strikes(Scenario::ConnectionLeak)
            && let Some(leaked) = self.inner.spare().await
        {
            self.scenarios.hold(Scenario::ConnectionLeak, leaked);
        }
        loop {
            let mut connection = self.inner.get().await.map_err(|error| DatabaseUnavailable(error.to_string()))?;
            // a broken one is thrown away when it goes back
            if !connection.is_broken() {
                return Ok(connection);
            }
        }
    }

    /// A connection beside the pool, for whoever keeps one: session-level locks live on it.
    ///
    /// # Errors
    /// [`DatabaseUnavailable`]
    pub async fn dedicated(&self) -> Result<Connection, DatabaseUnavailable> {
        self.inner.dedicated().await.map_err(|error| DatabaseUnavailable(error.to_string()))
    }

    /// Awaits a unit of work for at most `database.work_timeout_ms`: a server that hangs must not hang us. A connection in
    /// the midst of a transaction is thrown away with the work.
    ///
    /// # Errors
    /// The work's own, or [`DatabaseUnavailable`].
    pub async fn bounded<T, E: From<DatabaseUnavailable>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match tokio::time::timeout(self.work_timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(DatabaseUnavailable(format!("no answer within {} ms", self.work_timeout.as_millis())).into()),
        }
    }

    /// A connection whose server has answered `SELECT 1` just now: for work that may take longer than
    /// `database.work_timeout_ms`, so that it is a server at work that is waited for and not a silent one.
    ///
    /// # Errors
    /// [`DatabaseUnavailable`], after the work timeout at the latest.
    pub async fn get_answering(&self) -> Result<PooledConnection<'_>, DatabaseUnavailable> {
        use diesel_async::SimpleAsyncConnection;
        let asked = self.bounded(async {
            let mut connection = self.get().await?;
            connection.batch_execute("SELECT 1").await.map_err(|error| DatabaseUnavailable(error.to_string()))?;
            Ok(connection)
        });
        asked.await
    }

    /// Asks the server for an answer, for readiness.
    ///
    /// # Errors
    /// [`DatabaseUnavailable`]
    pub async fn ping(&self) -> Result<(), DatabaseUnavailable> {
        self.get_answering().await.map(drop)
    }
}

/// True where an error of diesel's means that the server was not there, and not that it disliked the statement.
pub fn is_unavailable(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        // what tokio-postgres reports without a SQLSTATE never reached the server, or its answer never reached us
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _)
        | Error::BrokenTransactionManager => true,
        // the classes 57 (operator intervention) and 53 (out of resources) have no kind of their own in diesel
        Error::DatabaseError(DatabaseErrorKind::Unknown, information) => {
            let message = information.message();
            [
                "terminating connection",
                "shutting down",
                "starting up",
                "recovery mode",
                "canceling statement",
                "too many clients",
                "connection slots",
            ]
            .iter()
            .any(|sign| message.contains(sign))
        }
        _ => false,
    }
}

/// True where an error of diesel's means that transactions met at the same rows and this one had to give way: all of it is undone,
/// and the same work done once more may well pass.
pub fn is_conflict(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        // 40001
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        // 40P01 has no kind of its own in diesel
        Error::DatabaseError(DatabaseErrorKind::Unknown, information) => information.message().contains("deadlock detected"),
        Error::RollbackErrorOnCommit { commit_error, .. } => is_conflict(commit_error),
        _ => false,
    }
}

/// A process has a pool on each serving thread, and says it once.
fn warn_of_echo() {
    static SAID: Once = Once::new();
    SAID.call_once(|| tracing::warn!("database.echo is on: every SQL statement is logged; this is for development"));
}

fn connection_settings(config: &DatabaseConfig, application_name: &str) -> Result<tokio_postgres::Config, StartError> {
    let mut settings: tokio_postgres::Config = config.url.expose().parse()?;
    settings
        .application_name(application_name)
        .connect_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .tcp_user_timeout(Duration::from_secs(10))
        // session-level locks, the relay's leases, end with the connection: a dead one has to be noticed
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(2)
        .options(format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c timezone=UTC",
            config.statement_timeout_ms, config.lock_timeout_ms, config.idle_in_transaction_timeout_ms
        ));
    Ok(settings)
}

async fn connect(settings: tokio_postgres::Config, echo: bool) -> ConnectionResult<Connection> {
    let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
    let (client, connection) = settings.connect(NoTls).await.map_err(bad)?;
    let connection = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    let host = match settings.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = settings.get_ports().first().copied().unwrap_or(5432);
    let spans = SqlSpans::new(settings.get_dbname().unwrap_or_default(), &host, port).with_echo(echo);
    Ok(Connection::new(connection, spans))
}
