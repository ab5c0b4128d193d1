//! The login roles: one per process that speaks SQL, each with the rights that its migrations grant and no others.

use std::fmt;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use postgres_protocol::password::scram_sha_256;

/// A login role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `throughline_auth`: users, what is known of their sessions, and the outbox of schema `auth`.
    Auth,
    /// `throughline_catalog`: schema `catalog`.
    Catalog,
    /// `throughline_orders`: schema `orders`.
    Orders,
    /// `throughline_notification`: which events have been handled, and the outbox of mails, in schema `events`.
    Notification,
    /// `throughline_analytics`: which events have been handled, and the rollups.
    Analytics,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Auth, Self::Catalog, Self::Orders, Self::Notification, Self::Analytics];

    /// The name that it signs in with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "throughline_auth",
            Self::Catalog => "throughline_catalog",
            Self::Orders => "throughline_orders",
            Self::Notification => "throughline_notification",
            Self::Analytics => "throughline_analytics",
        }
    }

    /// The environment variable that holds its password.
    pub fn key(self) -> &'static str {
        match self {
            Self::Auth => "THROUGHLINE_ROLES__AUTH",
            Self::Catalog => "THROUGHLINE_ROLES__CATALOG",
            Self::Orders => "THROUGHLINE_ROLES__ORDERS",
            Self::Notification => "THROUGHLINE_ROLES__NOTIFICATION",
            Self::Analytics => "THROUGHLINE_ROLES__ANALYTICS",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A password for each role. `Debug` shows none.
#[derive(Clone)]
pub struct RolePasswords([String; Role::ALL.len()]);

impl RolePasswords {
    /// Asks `find` for the value of each role's [`key`](Role::key).
    ///
    /// # Errors
    /// The keys, all of them, that have no value or an empty one.
    pub fn collect(find: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<&'static str>> {
        let given = Role::ALL.map(|role| find(role.key()).unwrap_or_default());
        let missing: Vec<_> =
            Role::ALL.iter().zip(&given).filter(|(_, password)| password.is_empty()).map(|(role, _)| role.key()).collect();
        if missing.is_empty() { Ok(Self(given)) } else { Err(missing) }
    }

    /// The password of one role.
    pub fn of(&self, role: Role) -> &str {
        &self.0[role as usize]
    }
}

impl fmt::Debug for RolePasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RolePasswords(***)")
    }
}

/// Makes each role that is missing and sets every password.
///
/// Roles belong to the cluster, so that a job for another database may do the same at this moment; the loser of such a
/// race tries again. A role that was given more than LOGIN loses it.
pub(crate) async fn ensure(connection: &mut AsyncPgConnection, passwords: &RolePasswords) -> diesel::QueryResult<()> {
    for role in Role::ALL {
        connection.batch_execute(&ensure_sql(role, passwords.of(role))).await?;
    }
    Ok(())
}

fn ensure_sql(role: Role, password: &str) -> String {
    // hashed here: the password itself reaches neither the wire nor the server's log, and the hash has nothing to quote
    let verifier = scram_sha_256(password.as_bytes());
    format!(
        "DO $role$ BEGIN
            FOR attempt IN 1..100 LOOP
                BEGIN
                    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}') THEN
                        CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
                    ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}'
                        AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)) THEN
                        ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
                    END IF;
                    ALTER ROLE {role} LOGIN PASSWORD '{verifier}';
                    RETURN;
                EXCEPTION
                    -- internal_error is 'tuple concurrently updated'
                    WHEN duplicate_object OR unique_violation OR internal_error THEN
                        IF attempt = 100 THEN RAISE; END IF;
                END;
            END LOOP;
        END $role$"
    )
}

/// Lets in the roles and no others: Postgres lets everybody into a new database.
pub(crate) async fn restrict_database(connection: &mut AsyncPgConnection, database: &str) -> diesel::QueryResult<()> {
    let database = quoted(database);
    let roles = Role::ALL.map(Role::name).join(", ");
    connection
        .batch_execute(&format!(
            "REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {database} TO {roles};"
        ))
        .await
}

/// The schema that Postgres makes for everybody is nobody's: ours have their own.
pub(crate) async fn restrict_public(connection: &mut AsyncPgConnection) -> diesel::QueryResult<()> {
    connection
        .batch_execute(
            "DO $public$ BEGIN
                IF to_regnamespace('public') IS NOT NULL THEN REVOKE ALL ON SCHEMA public FROM PUBLIC; END IF;
            END $public$",
        )
        .await
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_keys_are_told_at_once() {
        let found = |key: &str| match key {
            "THROUGHLINE_ROLES__AUTH" => Some("secret".to_owned()),
            "THROUGHLINE_ROLES__ORDERS" => Some(String::new()),
            _ => None,
        };
        let missing = RolePasswords::collect(found).expect_err("four are missing");
        assert_eq!(
            missing,
            ["THROUGHLINE_ROLES__CATALOG", "THROUGHLINE_ROLES__ORDERS", "THROUGHLINE_ROLES__NOTIFICATION", "THROUGHLINE_ROLES__ANALYTICS"]
        );
    }

    #[test]
    fn each_role_has_its_own_password_and_debug_shows_none() {
        let passwords = RolePasswords::collect(|key| Some(format!("of {key}"))).expect("all are given");
        for role in Role::ALL {
            assert_eq!(passwords.of(role), format!("of {}", role.key()));
            assert!(!ensure_sql(role, passwords.of(role)).contains(passwords.of(role)));
        }
        assert!(!format!("{passwords:?}").contains("of "));
    }
}
