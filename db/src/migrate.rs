//! The migrate job: roles, schemas and tables of one database, brought up, taken down, or looked at.
//!
//! Each schema has its own directory of migrations and its own `__diesel_schema_migrations`, so that one service's tables
//! move without the others'. Each migration is one transaction.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use diesel::migration::{Migration, MigrationSource, Result as MigrationResult};
use diesel::pg::Pg;
use diesel_async::SimpleAsyncConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Serialize;

use crate::connect::{ConnectError, Progress, connect};
use crate::roles::{self, RolePasswords};

mod session;
use session::{apply, locked, revert, unlock, versions};

const AUTH: EmbeddedMigrations = embed_migrations!("migrations/auth");
const CATALOG: EmbeddedMigrations = embed_migrations!("migrations/catalog");
const ORDERS: EmbeddedMigrations = embed_migrations!("migrations/orders");
const EVENTS: EmbeddedMigrations = embed_migrations!("migrations/events");

/// The advisory lock of the migrate job. It belongs to the session, so a job that dies lets go of it.
const LOCK: i64 = i64::from_be_bytes(*b"migrate!");
/// How long a job waits for another one to finish.
const LOCK_PATIENCE: Duration = Duration::from_mins(3);
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A service that holds a table for longer than `lock_timeout` makes the migration fail instead of queueing everybody behind it.
const SESSION: &str = "SET statement_timeout = '10min'; SET lock_timeout = '15s';
    SET idle_in_transaction_session_timeout = '1min'; SET client_min_messages = warning";

/// A Postgres schema of ours, in the order in which they are brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Schema {
    /// Users and sessions.
    Auth,
    /// What is sold.
    Catalog,
    /// Customers, orders and stock.
    Orders,
    /// Rollups, and which events have been handled.
    Events,
}

impl Schema {
    /// Every schema.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Catalog, Self::Orders, Self::Events];

    /// Its name in Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Catalog => "catalog",
            Self::Orders => "orders",
            Self::Events => "events",
        }
    }

    fn migrations(self) -> MigrationResult<Vec<Box<dyn Migration<Pg>>>> {
        match self {
            Self::Auth => AUTH,
            Self::Catalog => CATALOG,
            Self::Orders => ORDERS,
            Self::Events => EVENTS,
        }
        .migrations()
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Schema {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|schema| schema.name() == name).ok_or_else(|| "allowed: auth, catalog, orders, events".to_owned())
    }
}

/// How far [`down`] goes.
#[derive(Clone, Copy, Debug)]
pub enum Down {
    /// Every migration of every schema. The empty schemas and the roles, which other databases may use, stay.
    All,
    /// The last ones of one schema.
    Steps {
        /// Which schema.
        schema: Schema,
        /// How many migrations; fewer if there are fewer.
        steps: usize,
    },
}

/// Which way a migration went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Applied.
    Up,
    /// Taken back.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// One migration that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The schema it belongs to.
    pub schema: Schema,
    /// Its name, such as `0001_users`.
    pub migration: String,
    /// Which way.
    pub direction: Direction,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Where one schema stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// The schema.
    pub schema: Schema,
    /// Names of the migrations that the database has.
    pub applied: Vec<String>,
    /// Names of the migrations that it lacks.
    pub pending: Vec<String>,
    /// Versions in the database that this binary has no migration for: a newer one was here.
    pub unknown: Vec<String>,
}

/// Why the job did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another job has held the lock all the time.
    #[error("another migrate job has been at work on this database for {0:?}; try again when it is done")]
    Busy(Duration),
    /// A statement outside a migration failed.
    #[error("cannot {what}: {source}")]
    Statement {
        /// What it was for.
        what: &'static str,
        /// What Postgres says.
        source: diesel::result::Error,
    },
    /// A migration failed; its transaction was rolled back, the ones before it stay.
    #[error("migration {schema}/{migration} failed and was rolled back: {source}")]
    Migration {
        /// The schema it belongs to.
        schema: Schema,
        /// Its name, or what is known of it.
        migration: String,
        /// What Postgres says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database has a migration that this binary lacks, so that it cannot take it back.
    #[error("the database has migration {schema}/{version}, which this binary does not know: take it back with the one that made it")]
    Unknown {
        /// The schema.
        schema: Schema,
        /// The migration's version, such as `0003`.
        version: String,
    },
    /// The runtime went away under the job.
    #[error("the migrate job was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl MigrateError {
    fn statement(what: &'static str) -> impl FnOnce(diesel::result::Error) -> Self {
        move |source| Self::Statement { what, source }
    }

    fn migration(schema: Schema, migration: impl fmt::Display) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> Self {
        move |source| Self::Migration { schema, migration: migration.to_string(), source }
    }
}

/// Makes roles, schemas and tables as this binary knows them, whatever of that there is already; returns what was missing.
///
/// `url` signs in as a superuser, or as the database's owner with `CREATEROLE`. Several jobs at once are safe: one works, the
/// others wait and find nothing left to do.
///
/// # Errors
/// See [`MigrateError`].
pub async fn up(url: &str, passwords: &RolePasswords, progress: Progress) -> Result<Vec<Step>, MigrateError> {
    let (mut connection, database) = locked(url, progress).await?;
    roles::ensure(&mut connection, passwords).await.map_err(MigrateError::statement("make the login roles"))?;
    roles::restrict_database(&mut connection, &database).await.map_err(MigrateError::statement("restrict the database to our roles"))?;
    roles::restrict_public(&mut connection).await.map_err(MigrateError::statement("close the schema public"))?;
    let mut done = Vec::new();
    for schema in Schema::ALL {
        let enter = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path TO {schema}");
        connection.batch_execute(&enter).await.map_err(MigrateError::statement("make a schema"))?;
        let (back, steps) = apply(connection, schema, progress).await?;
        connection = back;
        done.extend(steps);
    }
    unlock(connection).await?;
    Ok(done)
}

/// Takes migrations back, newest first; returns which.
///
/// # Errors
/// See [`MigrateError`].
pub async fn down(url: &str, target: Down, progress: Progress) -> Result<Vec<Step>, MigrateError> {
    let (mut connection, _) = locked(url, progress).await?;
    let plan = match target {
        Down::All => Schema::ALL.into_iter().rev().map(|schema| (schema, usize::MAX)).collect(),
        Down::Steps { schema, steps } => vec![(schema, steps)],
    };
    let mut done = Vec::new();
    for (schema, steps) in plan {
        if versions(&mut connection, schema).await?.is_empty() {
            continue;
        }
        let enter = format!("SET search_path TO {schema}");
        connection.batch_execute(&enter).await.map_err(MigrateError::statement("enter a schema"))?;
        let (back, steps) = revert(connection, schema, steps, progress).await?;
        connection = back;
        done.extend(steps);
    }
    unlock(connection).await?;
    Ok(done)
}

/// Where each schema stands; changes nothing and waits for no other job.
///
/// # Errors
/// See [`MigrateError`].
pub async fn status(url: &str) -> Result<Vec<SchemaStatus>, MigrateError> {
    let mut connection = connect(url).await?;
    let mut all = Vec::new();
    for schema in Schema::ALL {
        let mut unknown = versions(&mut connection, schema).await?;
        let (mut applied, mut pending) = (Vec::new(), Vec::new());
        for migration in schema.migrations().map_err(MigrateError::migration(schema, "*"))? {
            let version = migration.name().version().to_string();
            let list = if unknown.contains(&version) { &mut applied } else { &mut pending };
            list.push(migration.name().to_string());
            unknown.retain(|other| *other != version);
        }
        applied.sort();
        pending.sort();
        all.push(SchemaStatus { schema, applied, pending, unknown });
    }
    Ok(all)
}
