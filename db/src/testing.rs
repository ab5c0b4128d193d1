//! For tests only: a database of one's own, migrated and filled with the demo data, gone when the test is.
//!
//! The first test of a run makes a template, named by a hash of the migrations and the seed, that all test processes share;
//! a test's database is a copy of it (tens of milliseconds). Nothing here returns an error: a test that has no database panics
//! and says why.
#![allow(clippy::panic, reason = "called from tests, where a panic is the report")]

use std::fmt::Display;
use std::time::{Duration, Instant};

use chassis::config::Secret;
use diesel::prelude::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::connect::connect;
use crate::migrate;
use crate::pool::DatabaseConfig;
use crate::roles::{Role, RolePasswords, quoted, restrict_database};
use crate::seed;

/// The environment variable with the URL of a superuser on a server that is there for tests.
pub const SERVER_KEY: &str = "THROUGHLINE_TEST_POSTGRES_URL";

const TEMPLATE: &str = concat!("throughline_template_", env!("DB_CONTENT_HASH"));
/// Advisory lock of the server's maintenance database: one process makes the template.
const TEMPLATE_LOCK: i64 = i64::from_be_bytes(*b"template");
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Once per process is enough.
static TEMPLATE_READY: OnceCell<()> = OnceCell::const_new();

/// A database that lives as long as this value. Dropping it ends the connections that are still open.
#[derive(Debug)]
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// A migrated database with the demo data of [`seed::demo`].
    ///
    /// # Panics
    /// When [`SERVER_KEY`] is not set or its server does not do what it is asked to.
    pub async fn create() -> Self {
        let server = server();
        TEMPLATE_READY.get_or_init(|| make_template(&server)).await;
        Self::copy_of(TEMPLATE, server).await
    }

    /// A database without any of our schemas, to try migrations on. The roles are made by the migrate job: hand it
    /// [`role_passwords`] and no others, since roles belong to the server and other tests sign in with these.
    ///
    /// # Panics
    /// As [`create`](Self::create).
    pub async fn empty() -> Self {
        Self::copy_of("template0", server()).await
    }

    /// The URL for the superuser.
    pub fn admin_url(&self) -> String {
        at(&self.server, &self.name).into()
    }

    /// The URL for a login role, which has the rights that it has in production.
    ///
    /// # Panics
    /// When [`SERVER_KEY`] names no host, such as one with a socket's path in its query.
    pub fn url(&self, role: Role) -> String {
        let mut url = at(&self.server, &self.name);
        let set = url.set_username(role.name()).and_then(|()| url.set_password(Some(role_passwords().of(role))));
        set.unwrap_or_else(|()| panic!("{SERVER_KEY} has no host; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
        url.into()
    }

    /// Settings for that role in a test that asks whether there is an answer and not when: nothing gives up before the test does.
    ///
    /// # Panics
    /// As [`url`](Self::url).
    pub fn patient(&self, role: Role) -> DatabaseConfig {
        DatabaseConfig {
            url: Secret::new(self.url(role)),
            acquire_timeout_ms: 30_000,
            work_timeout_ms: 30_000,
            ..DatabaseConfig::default()
        }
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn copy_of(template: &str, server: Url) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = open(&server).await;
        execute(&mut connection, &format!("CREATE DATABASE {} TEMPLATE {template}", quoted(&name))).await;
        let database = Self { server, name };
        if template == TEMPLATE {
            // a copy does not take over who may connect
            let restricted = restrict_database(&mut connection, &database.name).await;
            restricted.unwrap_or_else(|error| failed("restrict a test database", &error));
        }
        database
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own: the runtime of the test may be one that must not block, or be on its way out.
    fn drop(&mut self) {
        let (server, drop) = (self.server.to_string(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&self.name)));
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
            runtime.block_on(async {
                let mut connection = connect(&server).await.map_err(|error| error.to_string())?;
                connection.batch_execute(&drop).await.map_err(|error| error.to_string())
            })
        });
        if let Ok(Err(error)) = done.join() {
            eprintln!("test database {} is left behind: {error}", self.name);
        }
    }
}

/// The passwords that the login roles have on the test server.
///
/// # Panics
/// Never: every role has one.
pub fn role_passwords() -> RolePasswords {
    RolePasswords::collect(|key| Some(format!("test-only-{}", key.to_lowercase())))
        .unwrap_or_else(|missing| panic!("no test password for {missing:?}"))
}

/// A superuser's URL on the test server, as [`SERVER_KEY`] gives it.
fn server() -> Url {
    let Ok(url) = std::env::var(SERVER_KEY) else {
        panic!("this test needs a Postgres of its own, and {SERVER_KEY} is not set: run ./mesh test, which starts one");
    };
    Url::parse(&url)
        .unwrap_or_else(|error| panic!("{SERVER_KEY} is no URL ({error}); expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
}

fn at(server: &Url, database: &str) -> Url {
    let mut url = server.clone();
    url.set_path(database);
    url
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

/// Makes the template unless it is there. It becomes a template last of all, so that a half-made one is known for what it is.
async fn make_template(server: &Url) {
    let mut connection = open(server).await;
    let lock = diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(TEMPLATE_LOCK).execute(&mut connection).await;
    lock.unwrap_or_else(|error| failed("wait for the template", &error));
    if !ask(&mut connection, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate) AS flag").await {
        execute(&mut connection, &format!("DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")).await;
        execute(&mut connection, &format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0")).await;
        let url = String::from(at(server, TEMPLATE));
        migrate::up(&url, &role_passwords(), |_| ()).await.unwrap_or_else(|error| failed("migrate the template", &error));
        seed::demo(&url).await.unwrap_or_else(|error| failed("fill the template", &error));
        seal(&mut connection).await;
    }
    // the connection ends here, and the lock with it
}

/// A database that has connections cannot be copied: lets nobody in any more, and waits until those that were in have gone.
async fn seal(connection: &mut AsyncPgConnection) {
    execute(connection, &format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")).await;
    let deadline = Instant::now() + PATIENCE;
    while ask(connection, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1) AS flag").await {
        assert!(Instant::now() < deadline, "somebody has stayed connected to {TEMPLATE} for {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
    execute(connection, &format!("ALTER DATABASE {TEMPLATE} IS_TEMPLATE true")).await;
}

async fn open(server: &Url) -> AsyncPgConnection {
    connect(server.as_str()).await.unwrap_or_else(|error| failed("reach the test server", &error))
}

async fn execute(connection: &mut AsyncPgConnection, statement: &str) {
    connection.batch_execute(statement).await.unwrap_or_else(|error| failed(statement, &error));
}

/// The answer to a yes-or-no question about the template, `$1`.
async fn ask(connection: &mut AsyncPgConnection, question: &str) -> bool {
    let answer = diesel::sql_query(question).bind::<Text, _>(TEMPLATE).get_result::<Flag>(connection).await;
    answer.unwrap_or_else(|error| failed(question, &error)).flag
}

fn failed(what: &str, error: &dyn Display) -> ! {
    panic!("cannot {what}: {error} (server: {SERVER_KEY})")
}
