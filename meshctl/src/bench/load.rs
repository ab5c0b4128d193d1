//! Closed-loop load over HTTP/1.1: each connection sends its next request when the last one was answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// No answer takes longer.
const ANSWER: Duration = Duration::from_secs(10);

/// The request with a number; numbers begin at 0 and none is sent twice.
pub(super) type Requests = Arc<dyn Fn(u64) -> Result<Request<Full<Bytes>>> + Send + Sync>;

/// What to send.
#[derive(Clone)]
pub(super) struct Load {
    /// Who is asked.
    pub(super) address: SocketAddr,
    /// Open connections, each with one request under way.
    pub(super) connections: u16,
    /// No request begins later than this.
    pub(super) duration: Duration,
    /// No request has this number or a greater one.
    pub(super) limit: u64,
    /// The requests.
    pub(super) requests: Requests,
    /// The one good answer.
    pub(super) expected: StatusCode,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Served {
    /// Requests that got the good answer, or records that were done.
    pub(super) handled: u64,
    /// Of these in a second.
    pub(super) per_second: f64,
    /// How long requests took; records have waited anyhow.
    #[serde(flatten)]
    pub(super) latency: Option<Latency>,
}

/// How long requests took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    /// Half of them took no longer, in milliseconds.
    pub(super) p50_ms: f64,
    /// 99 % of them took no longer, in milliseconds.
    pub(super) p99_ms: f64,
}

#[derive(Default)]
struct Tally {
    micros: Vec<u32>,
    refused: BTreeMap<String, u64>,
}

impl Load {
    /// Sends it. An answer that is not the expected one fails the whole: a figure that counts refusals is none.
    pub(super) async fn run(&self) -> Result<Served> {
        let next = Arc::new(AtomicU64::default());
        let mut connections = Vec::new();
        let mut drivers = JoinSet::new();
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await.with_context(|| format!("cannot reach {}", self.address))?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            drivers.spawn(connection);
            connections.push(sender);
        }
        let began = Instant::now();
        let mut running = JoinSet::new();
        for sender in connections {
            running.spawn(self.clone().send(sender, Arc::clone(&next), began));
        }
        let mut all = Tally::default();
        while let Some(tally) = running.join_next().await {
            let tally = tally??;
            all.micros.extend(tally.micros);
            for (reason, count) in tally.refused {
                *all.refused.entry(reason).or_default() += count;
            }
        }
        all.served(began.elapsed())
    }

    async fn send(self, mut sender: SendRequest<Full<Bytes>>, next: Arc<AtomicU64>, began: Instant) -> Result<Tally> {
        let mut tally = Tally::default();
        while began.elapsed() < self.duration {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.limit {
                break;
            }
            let sent = Instant::now();
            let status = timeout(ANSWER, answer(&mut sender, (self.requests)(number)?)).await.context("no answer within 10 s")??;
            if status == self.expected {
                tally.micros.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            } else {
                *tally.refused.entry(status.to_string()).or_default() += 1;
            }
        }
        Ok(tally)
    }
}

async fn answer(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<StatusCode> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}

impl Tally {
    fn served(mut self, took: Duration) -> Result<Served> {
        if !self.refused.is_empty() || self.micros.is_empty() {
            bail!("{} requests were answered well, others not: {:?}", self.micros.len(), self.refused);
        }
        self.micros.sort_unstable();
        let quantile = |percent: usize| f64::from(self.micros[(self.micros.len() - 1) * percent / 100]) / 1e3;
        let requests = self.micros.len();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let per_second = requests as f64 / took.as_secs_f64();
        let latency = Latency { p50_ms: quantile(50), p99_ms: quantile(99) };
        Ok(Served { handled: requests as u64, per_second, latency: Some(latency) })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    async fn load(path: &'static str, limit: u64) -> Result<Served> {
        let pages = Router::new().route("/good", get(|| async { "yes" })).route("/bad", get(|| async { StatusCode::BAD_GATEWAY }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, pages).await });
        let requests: Requests = Arc::new(move |_| Ok(Request::get(path).header("host", "here").body(Full::default())?));
        let duration = Duration::from_secs(30);
        Load { address, connections: 4, duration, limit, requests, expected: StatusCode::OK }.run().await
    }

    #[tokio::test]
    async fn as_many_requests_are_sent_as_there_are_numbers() {
        let served = load("/good", 50).await.unwrap();
        assert_eq!(served.handled, 50);
        assert!(served.per_second > 0.0 && served.latency.is_some_and(|took| took.p50_ms <= took.p99_ms), "{served:?}");
    }

    #[tokio::test]
    async fn other_answers_fail_the_whole() {
        let error = load("/bad", 8).await.unwrap_err().to_string();
        assert!(error.contains("502 Bad Gateway") && error.contains('8'), "{error}");
    }
}
