//! One administrative connection, and waiting for a server that is still starting.

use std::io;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// What the last attempt gets, however little time is left.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// What gets a line of progress, such as one that writes to stderr.
pub type Progress = fn(&str);

/// Why there is no connection. No variant shows the URL: it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error("the database URL is not one: {0}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url(String),
    /// Nobody answers, or Postgres says that it is not ready yet: may pass.
    #[error("Postgres at {place} is not ready: {reason}")]
    NotReady {
        /// Host, port and database of the URL.
        place: String,
        /// What the operating system or Postgres says.
        reason: String,
    },
    /// Still not ready at the end of the time given.
    #[error("Postgres at {place} was not ready within {waited:?}: {reason}; start it, or correct the database URL")]
    Deadline {
        /// Host, port and database of the URL.
        place: String,
        /// The time given.
        waited: Duration,
        /// What the last attempt met.
        reason: String,
    },
    /// Postgres answers and says no (wrong password, no such database): waiting does not help.
    #[error("Postgres at {place} refuses the connection: {reason}")]
    Refused {
        /// Host, port and database of the URL.
        place: String,
        /// What Postgres says.
        reason: String,
    },
}

/// Opens one connection (no TLS), in one attempt of at most five seconds.
///
/// # Errors
/// See [`ConnectError`]; never [`ConnectError::Deadline`].
pub async fn connect(url: &str) -> Result<AsyncPgConnection, ConnectError> {
    attempt(&parse(url)?, ATTEMPT).await
}

/// The same without diesel, which has no asynchronous COPY.
pub(crate) async fn client(url: &str) -> Result<Client, ConnectError> {
    let config = parse(url)?;
    let late = |_| ConnectError::NotReady { place: place(&config), reason: format!("no answer within {ATTEMPT:?}") };
    let (client, connection) = timeout(ATTEMPT, config.connect(NoTls)).await.map_err(late)?.map_err(|error| classify(&config, &error))?;
    // it ends with the client; the client is told of what breaks it
    drop(chassis::spawn(async move { drop(connection.await) }));
    Ok(client)
}

/// Waits until Postgres accepts a connection to that database, at most `patience` (the last attempt may take a second more).
///
/// # Errors
/// [`ConnectError::Deadline`] when it does not in time; at once where waiting does not help.
pub async fn wait_until_ready(url: &str, patience: Duration, progress: Progress) -> Result<(), ConnectError> {
    let config = parse(url)?;
    let deadline = Instant::now() + patience;
    let mut told = false;
    loop {
        let limit = deadline.saturating_duration_since(Instant::now()).clamp(SHORTEST_ATTEMPT, ATTEMPT);
        match attempt(&config, limit).await {
            Err(ConnectError::NotReady { place, reason }) if Instant::now() + BETWEEN_ATTEMPTS < deadline => {
                if !told {
                    progress(&format!("waiting at most {patience:?} for Postgres at {place} ({reason})"));
                    told = true;
                }
                sleep(BETWEEN_ATTEMPTS).await;
            }
            Err(ConnectError::NotReady { place, reason }) => return Err(ConnectError::Deadline { place, waited: patience, reason }),
            other => return other.map(drop),
        }
    }
}

/// The limit holds for the whole handshake: a server that is stopped still has its kernel accept connections.
async fn attempt(config: &Config, limit: Duration) -> Result<AsyncPgConnection, ConnectError> {
    let late = |_| ConnectError::NotReady { place: place(config), reason: format!("no answer within {limit:?}") };
    timeout(limit, open(config)).await.map_err(late)?
}

async fn open(config: &Config) -> Result<AsyncPgConnection, ConnectError> {
    let (client, connection) = config.connect(NoTls).await.map_err(|error| classify(config, &error))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection)
        .await
        .map_err(|error| ConnectError::NotReady { place: place(config), reason: error.to_string() })
}

fn parse(url: &str) -> Result<Config, ConnectError> {
    let mut config = url.parse::<Config>().map_err(|error| ConnectError::Url(reason(&error)))?;
    if config.get_hosts().is_empty() {
        return Err(ConnectError::Url("it names no host".to_owned()));
    }
    if config.get_application_name().is_none() {
        config.application_name("db");
    }
    Ok(config)
}

fn classify(config: &Config, error: &tokio_postgres::Error) -> ConnectError {
    let (place, reason) = (place(config), reason(error));
    let passing = match error.as_db_error() {
        Some(refusal) => [
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            // a template that is being copied
            &SqlState::OBJECT_IN_USE,
        ]
        .contains(&refusal.code()),
        None => error.is_closed() || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>),
    };
    if passing { ConnectError::NotReady { place, reason } } else { ConnectError::Refused { place, reason } }
}

/// `tokio_postgres::Error` says "db error" and keeps the rest for its causes.
pub(crate) fn reason(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refusal), _) => refusal.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().or_else(|| config.get_user()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_told_without_its_password() {
        for url in ["postgres://u:hunter2@host:notaport/x", "nonsense hunter2", "", "postgres:///x?user=u&password=hunter2"] {
            let message = parse(url).expect_err(url).to_string();
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains("postgres://USER"), "{message}");
        }
    }

    #[test]
    fn a_place_has_no_password() {
        let config = parse("postgres://u:hunter2@127.0.0.1:25432/mesh").expect("a URL");
        assert_eq!(place(&config), "127.0.0.1:25432/mesh");
    }

    #[tokio::test]
    async fn nobody_listening_is_a_deadline_and_not_a_refusal() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        drop(taken);
        let url = format!("postgres://u:hunter2@127.0.0.1:{port}/mesh");
        let error = wait_until_ready(&url, Duration::from_millis(300), |_| ()).await.expect_err("nobody listens");
        assert!(matches!(error, ConnectError::Deadline { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_not_waited_for_without_end() {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("postgres://u:p@{}/mesh", mute.local_addr().expect("an address"));
        let patience = Duration::from_millis(100);
        let answer = timeout(Duration::from_secs(10), wait_until_ready(&url, patience, |_| ())).await.expect("an end");
        assert!(matches!(answer, Err(ConnectError::Deadline { .. })), "{answer:?}");
    }
}
