//! How a connection begins: the handshake of TLS, and which HTTP is spoken.

use std::{io, time::Duration};

use actix_http::Protocol;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    tls::{HANDSHAKE, Tls},
    transport::Transport,
};

/// How a client of HTTP/2 begins (RFC 9113, section 3.4), as much of it as no other protocol begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// How long a caller who was let in before a stop may take to begin: its first request may be on its way.
const LAST_WORD: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Clone)]
pub(super) struct Door {
    tls: Option<TlsAcceptor>,
    http2: bool,
}

impl Door {
    /// For HTTP/1.1 and HTTP/2.
    pub(super) fn new(tls: Option<&Tls>) -> Self {
        Self { tls: tls.map(|tls| tls.acceptor(&["h2", "http/1.1"])), http2: true }
    }

    /// For HTTP/1.1 alone: a thread that OBI can follow serves one request at a time.
    pub(super) fn for_threads(tls: Option<&Tls>) -> Self {
        Self { tls: tls.map(|tls| tls.acceptor(&["http/1.1"])), http2: false }
    }

    /// Does what comes before the first request; after a stop, only with who is quick.
    pub(super) async fn open(&self, stream: TcpStream, stop: &CancellationToken) -> io::Result<(Transport, Protocol)> {
        tokio::select! {
            opened = self.greet(stream) => opened,
            () = quiet(stop) => Err(io::Error::other("nothing was said before the stop")),
        }
    }

    async fn greet(&self, stream: TcpStream) -> io::Result<(Transport, Protocol)> {
        let _nodelay = stream.set_nodelay(true);
        let Some(acceptor) = &self.tls else {
            // who says nothing is told so by HTTP/1.1
            let is_http2 = self.http2 && timeout(HANDSHAKE, begins_http2(&stream)).await.unwrap_or(Ok(false))?;
            return Ok((Transport::Plain(stream), protocol(is_http2)));
        };
        let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await??;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Transport::Tls(Box::new(stream)), protocol(is_http2)))
    }
}

async fn quiet(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_WORD).await;
}

fn protocol(is_http2: bool) -> Protocol {
    if is_http2 { Protocol::Http2 } else { Protocol::Http1 }
}

/// Looks at the first bytes and leaves them there.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    /// Between looks, where there is too little to tell.
    const PAUSE: Duration = Duration::from_millis(5);
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        if length == PREFACE.len() || length == 0 || !PREFACE.starts_with(&seen[..length]) {
            return Ok(seen == PREFACE);
        }
        sleep(PAUSE).await;
    }
}
