//! Loads that are counted and wait at a gate.

use db::roles::Role;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use crate::world::World;

/// Loads of a counted catalogue wait while somebody holds this advisory lock of the test's database.
const GATE: i64 = 7;

impl World {
    /// As [`Self::count_reads_of`] products.
    pub(crate) async fn count_loads(&self) {
        self.count_reads_of("products").await;
    }

    /// From now on each statement that reads the table, which is `catalog.rows` now, is counted, and waits for
    /// [`Self::shut_gate`].
    pub(crate) async fn count_reads_of(&self, table: &str) {
        let view = format!(
            "ALTER TABLE catalog.{table} RENAME TO rows;
             CREATE SEQUENCE catalog.loads;
             -- the last load that waits at the gate
             CREATE SEQUENCE catalog.held MINVALUE 0 START {};
             CREATE FUNCTION catalog.count_load() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 -- a view's condition holds for writing statements too
                 IF ltrim(current_query(), E' \\n') ILIKE 'select%' THEN
                     IF nextval('catalog.loads') <= (SELECT last_value FROM catalog.held) THEN
                         PERFORM pg_advisory_xact_lock_shared({GATE});
                     END IF;
                 END IF;
                 RETURN true;
             END $$;
             -- an uncorrelated subquery is run once a statement
             CREATE VIEW catalog.{table} AS SELECT * FROM catalog.rows WHERE (SELECT catalog.count_load());
             GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.{table} TO {}",
            i64::MAX,
            Role::Catalog
        );
        self.execute(&view).await;
    }

    /// Loads that come after the next one pass a shut gate.
    pub(crate) async fn hold_only_the_next_load(&self) {
        let next = self.loads().await + 1;
        self.execute(&format!("SELECT setval('catalog.held', {next})")).await;
    }

    /// Statements that have begun since [`Self::count_loads`].
    pub(crate) async fn loads(&self) -> i64 {
        self.number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM catalog.loads").await
    }

    /// Holds up every load, until the connection is dropped.
    pub(crate) async fn shut_gate(&self) -> AsyncPgConnection {
        let mut connection = self.admin().await;
        connection.batch_execute(&format!("SELECT pg_advisory_lock({GATE})")).await.unwrap();
        connection
    }
}
