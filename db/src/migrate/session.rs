//! The job's connection: the lock, the books that diesel keeps, and its synchronous harness.

use std::time::Instant;

use diesel::migration::{Migration, MigrationVersion};
use diesel::pg::Pg;
use diesel::prelude::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::MigrationHarness;

use super::{Direction, LOCK, LOCK_PATIENCE, LOCK_POLL, MigrateError, SESSION, Schema, Step};
use crate::connect::{Progress, connect};

/// Diesel's harness is synchronous: it runs on a thread that may block, over the asynchronous connection.
type Harness = AsyncConnectionWrapper<AsyncPgConnection>;

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
    #[diesel(sql_type = Text)]
    database: String,
}

/// A connection that holds the job's lock until it is closed, and the name of its database.
pub(super) async fn locked(url: &str, progress: Progress) -> Result<(AsyncPgConnection, String), MigrateError> {
    let mut connection = connect(url).await?;
    connection.batch_execute(SESSION).await.map_err(MigrateError::statement("set up the session"))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut told = false;
    loop {
        let answer: Locked = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked, current_database()::text AS database")
            .bind::<BigInt, _>(LOCK)
            .get_result(&mut connection)
            .await
            .map_err(MigrateError::statement("take the migrate lock"))?;
        if answer.locked {
            return Ok((connection, answer.database));
        }
        if Instant::now() >= deadline {
            return Err(MigrateError::Busy(LOCK_PATIENCE));
        }
        if !told {
            progress("another migrate job is at work: waiting for it");
            told = true;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

/// Gives the lock back now: a closed connection does so a little later.
pub(super) async fn unlock(mut connection: AsyncPgConnection) -> Result<(), MigrateError> {
    diesel::sql_query("SELECT pg_advisory_unlock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut connection)
        .await
        .map(drop)
        .map_err(MigrateError::statement("give the migrate lock back"))
}

#[derive(QueryableByName)]
struct Books {
    #[diesel(sql_type = Bool)]
    exist: bool,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Versions of the migrations that the database says it has, oldest first. Unlike diesel's harness it makes no table.
pub(super) async fn versions(connection: &mut AsyncPgConnection, schema: Schema) -> Result<Vec<String>, MigrateError> {
    let failed = || MigrateError::statement("read which migrations the database has");
    let books = format!("{schema}.__diesel_schema_migrations");
    let found: Books = diesel::sql_query("SELECT to_regclass($1) IS NOT NULL AS exist")
        .bind::<Text, _>(&books)
        .get_result(connection)
        .await
        .map_err(failed())?;
    if !found.exist {
        return Ok(Vec::new());
    }
    let rows: Vec<Version> = diesel::sql_query(format!("SELECT version::text AS version FROM {books} ORDER BY version"))
        .load(connection)
        .await
        .map_err(failed())?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// Applies what the schema lacks.
pub(super) async fn apply(
    connection: AsyncPgConnection,
    schema: Schema,
    progress: Progress,
) -> Result<(AsyncPgConnection, Vec<Step>), MigrateError> {
    on_harness(connection, move |harness| {
        let known = schema.migrations().map_err(MigrateError::migration(schema, "*"))?;
        let applied = harness.applied_migrations().map_err(MigrateError::migration(schema, "*"))?;
        let mut pending: Vec<_> = known.into_iter().filter(|migration| !applied.contains(&migration.name().version().as_owned())).collect();
        pending.sort_by(|one, other| one.name().version().cmp(&other.name().version()));
        pending.iter().map(|migration| step(harness, schema, migration, Direction::Up, progress)).collect()
    })
    .await
}

/// Takes back the last `steps` migrations of the schema, newest first.
pub(super) async fn revert(
    connection: AsyncPgConnection,
    schema: Schema,
    steps: usize,
    progress: Progress,
) -> Result<(AsyncPgConnection, Vec<Step>), MigrateError> {
    on_harness(connection, move |harness| {
        let known = schema.migrations().map_err(MigrateError::migration(schema, "*"))?;
        let applied = harness.applied_migrations().map_err(MigrateError::migration(schema, "*"))?;
        let find = |version: &MigrationVersion<'_>| {
            known
                .iter()
                .find(|migration| migration.name().version() == *version)
                .ok_or_else(|| MigrateError::Unknown { schema, version: version.to_string() })
        };
        // newest first, as the harness lists them
        applied.iter().take(steps).map(|version| step(harness, schema, find(version)?, Direction::Down, progress)).collect()
    })
    .await
}

fn step(
    harness: &mut Harness,
    schema: Schema,
    migration: &dyn Migration<Pg>,
    direction: Direction,
    progress: Progress,
) -> Result<Step, MigrateError> {
    let started = Instant::now();
    let name = migration.name().to_string();
    match direction {
        Direction::Up => harness.run_migration(migration),
        Direction::Down => harness.revert_migration(migration),
    }
    .map_err(MigrateError::migration(schema, &name))?;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    progress(&format!("{direction} {schema}/{name} ({milliseconds} ms)"));
    Ok(Step { schema, migration: name, direction, milliseconds })
}

async fn on_harness<T: Send + 'static>(
    connection: AsyncPgConnection,
    work: impl FnOnce(&mut Harness) -> Result<T, MigrateError> + Send + 'static,
) -> Result<(AsyncPgConnection, T), MigrateError> {
    chassis::spawn_blocking(move || {
        let mut harness = Harness::from(connection);
        work(&mut harness).map(|outcome| (harness.into_inner(), outcome))
    })
    .await?
}
