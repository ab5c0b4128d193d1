//! For tests only: waiting for a condition, reading a metric, and a TCP proxy in front of a server that others use too, so that a test can
//! stop or pause it for itself alone. Nothing here returns an error: a test that has no proxy panics and says why.
#![allow(clippy::panic, reason = "called from tests, where a panic is the report")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use prometheus_client::encoding::text::encode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

use crate::{Process, config::Secret, redis::RedisConfig, spawn};

const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// With `what` was waited for, after a minute.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Settings for a test that asks whether there is an answer and not when: nothing gives up before the test does.
pub fn patient_redis(url: impl Into<String>) -> RedisConfig {
    RedisConfig { url: Secret::new(url), connect_timeout_ms: 30_000, response_timeout_ms: 30_000, ..RedisConfig::default() }
}

/// The value of a series, named as `/metrics` writes it: `name{label="value"}`. None where it is not shown.
///
/// # Panics
/// Where the registry cannot be written or a value is no number.
pub fn metric(process: &Process, series: &str) -> Option<f64> {
    let mut text = String::new();
    encode(&mut text, &process.registry()).unwrap_or_else(|error| panic!("metrics that cannot be written: {error}"));
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().unwrap_or_else(|error| panic!("{series} is {value:?}: {error}")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Healthy,
    Cut,
    Frozen,
}

/// A proxy that lives as long as this value and the runtime that started it.
#[derive(Debug)]
pub struct TestProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl TestProxy {
    /// A healthy proxy on a free port of 127.0.0.1 for the server at `upstream`, which is `HOST:PORT`.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap_or_else(|error| panic!("no port for a test proxy: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("a listener without address: {error}"));
        let (state, watcher) = watch::channel(State::Healthy);
        spawn(accept(listener, upstream.to_owned(), watcher));
        Self { address, state }
    }

    /// A proxy for the server that `url` names, and the URL by which to reach that server through it.
    ///
    /// # Panics
    /// Where `url` is none or has no host and port, or as [`start`](Self::start).
    pub async fn for_url(url: &str) -> (Self, String) {
        let mut url = Url::parse(url).unwrap_or_else(|error| panic!("a test proxy needs a URL ({error})"));
        let (Some(host), Some(port)) = (url.host_str(), url.port()) else {
            panic!("a test proxy needs a URL with host and port");
        };
        let proxy = Self::start(&format!("{host}:{port}")).await;
        let moved = url.set_host(Some("127.0.0.1")).is_ok() && url.set_port(Some(proxy.address.port())).is_ok();
        assert!(moved, "a URL that cannot be moved to another port");
        (proxy, url.into())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As if the server was stopped: closes every connection, and new ones at once. No byte gets through any more.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// As if the server was paused by SIGSTOP: connections stay, new ones are accepted, and nothing is answered.
    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    /// Lets bytes through again. What was held by [`freeze`](Self::freeze) is delivered.
    pub fn heal(&self) {
        self.state.send_replace(State::Healthy);
    }
}

async fn accept(listener: TcpListener, upstream: String, mut state: watch::Receiver<State>) {
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                drop(spawn(connect(client, upstream.clone(), state.clone())));
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(client: TcpStream, upstream: String, mut state: watch::Receiver<State>) {
    if !may_pass(&mut state).await {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // whichever direction ends first takes the other one with it
    tokio::select! {
        () = pump(from_client, to_server, state.clone()) => {}
        () = pump(from_server, to_client, state.clone()) => {}
    }
}

/// Waits while frozen; false where the connection has to end.
async fn may_pass(state: &mut watch::Receiver<State>) -> bool {
    state.wait_for(|state| *state != State::Frozen).await.is_ok_and(|state| *state == State::Healthy)
}

async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = tokio::select! {
            // bytes that are here already do not slip through
            biased;
            _ = state.wait_for(|state| *state == State::Cut) => return,
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => length,
                _ => return,
            },
        };
        if !may_pass(&mut state).await || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const MOMENT: Duration = Duration::from_millis(100);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut read, mut write) = stream.into_split();
                spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_healing_lets_new_ones_in() {
        let proxy = TestProxy::start(&echo().await.to_string()).await;
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut before).await.unwrap(), b'x');
        proxy.cut();
        assert!(timeout(SOON, say(&mut before)).await.unwrap().is_err());
        let mut during = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(SOON, say(&mut during)).await.unwrap().is_err());
        proxy.heal();
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(timeout(SOON, say(&mut after)).await.unwrap().unwrap(), b'x');
    }

    #[tokio::test]
    async fn what_is_frozen_is_silent_and_goes_on_when_healed() {
        let proxy = TestProxy::start(&echo().await.to_string()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream).await.unwrap(), b'x');
        proxy.freeze();
        stream.write_all(b"y").await.unwrap();
        assert!(timeout(MOMENT, stream.read_u8()).await.is_err());
        proxy.heal();
        assert_eq!(timeout(SOON, stream.read_u8()).await.unwrap().unwrap(), b'y');
    }

    #[tokio::test]
    async fn a_url_is_moved_to_the_proxy_and_keeps_the_rest() {
        let (proxy, url) = TestProxy::for_url("postgres://user:word@127.0.0.1:4/name?x=y").await;
        assert_eq!(url, format!("postgres://user:word@127.0.0.1:{}/name?x=y", proxy.address().port()));
    }
}
