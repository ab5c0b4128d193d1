//! A connection that ends by itself when it should: when it is idle, and either the process stops or others wait for its
//! thread; and that says in full what actix-http says of a request that cannot be read.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_http::{Protocol, StatusCode};
use actix_web::web::{Buf, Bytes};
use futures::{
    FutureExt,
    future::{Fuse, LocalBoxFuture},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{GOODBYE, activity::Activity, unreadable};
use crate::{threads::Place, transport::Transport};

/// GOAWAY of HTTP/2 without an error, for streams from the highest on: begin no more of them, those that are open will be
/// finished (RFC 9113, section 6.8). actix-http has no word for this.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// See the module.
pub(super) struct HttpConnection {
    stream: Transport,
    activity: Rc<Activity>,
    is_http2: bool,
    leave: Fuse<LocalBoxFuture<'static, ()>>,
    leaving: bool,
    /// What is still to be said of [`GOAWAY`].
    goodbye: &'static [u8],
    /// Runs while nothing happens after that.
    silence: Option<Pin<Box<Sleep>>>,
    /// What is still to be said of a problem.
    problem: Option<Bytes>,
}

impl HttpConnection {
    /// `leave` completes when the connection should end; `place` is that of one which has a thread.
    pub(super) fn new(stream: Transport, protocol: Protocol, leave: LocalBoxFuture<'static, ()>, place: Option<Place>) -> Self {
        Self {
            stream,
            activity: Activity::new(place),
            is_http2: protocol == Protocol::Http2,
            leave: leave.fuse(),
            leaving: false,
            goodbye: &[],
            silence: None,
            problem: None,
        }
    }

    /// What it is doing.
    pub(super) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Completes when the connection has nothing to do and should end. To be asked when there is nothing to read.
    fn poll_end(&mut self, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_http2 {
            return if self.activity.is_idle() { self.poll_leave(poller).map(Ok) } else { Poll::Pending };
        }
        ready!(self.poll_leave(poller));
        if self.activity.has_sent() {
            ready!(self.poll_goodbye(poller))?;
        }
        if self.activity.is_answering() || !self.activity.has_sent() {
            self.silence = None;
            return Poll::Pending;
        }
        self.silence.get_or_insert_with(|| Box::pin(sleep(GOODBYE))).as_mut().poll(poller).map(Ok)
    }

    fn poll_leave(&mut self, poller: &mut Context<'_>) -> Poll<()> {
        if !self.leaving {
            ready!(self.leave.poll_unpin(poller));
            self.leaving = true;
            self.goodbye = if self.is_http2 { GOAWAY } else { &[] };
        }
        Poll::Ready(())
    }

    /// Says what is left of the goodbye. To be called between frames.
    fn poll_goodbye(&mut self, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.goodbye.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.goodbye.is_empty() {
            let length = ready!(Pin::new(&mut self.stream).poll_write(poller, self.goodbye))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.goodbye = &self.goodbye[length..];
        }
        Pin::new(&mut self.stream).poll_flush(poller)
    }

    /// Whether, and from where on, `bytes` are what actix-http says of a request that cannot be read.
    fn bare_answer(&self, bytes: &[u8]) -> Option<(usize, StatusCode)> {
        if self.is_http2 || !self.activity.may_answer_by_itself() { None } else { unreadable::bare_answer(bytes) }
    }

    fn poll_problem(&mut self, poller: &mut Context<'_>, status: StatusCode) -> Poll<io::Result<()>> {
        let left = self.problem.get_or_insert_with(|| unreadable::problem(status));
        while !left.is_empty() {
            let length = ready!(Pin::new(&mut self.stream).poll_write(poller, left))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left.advance(length);
        }
        self.problem = None;
        self.drain(poller);
        Poll::Ready(Ok(()))
    }

    /// Reads what has come and nobody will read: with that the kernel would throw our last words away.
    fn drain(&mut self, poller: &mut Context<'_>) {
        const PIECES: usize = 64;
        let mut piece = [0; 8 << 10];
        for _ in 0..PIECES {
            let mut buffer = ReadBuf::new(&mut piece);
            let read = Pin::new(&mut self.stream).poll_read(poller, &mut buffer);
            if buffer.filled().is_empty() || !matches!(read, Poll::Ready(Ok(()))) {
                break;
            }
        }
    }
}

impl AsyncRead for HttpConnection {
    fn poll_read(mut self: Pin<&mut Self>, poller: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(poller, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
            self.silence = None;
        } else if matches!(read, Poll::Ready(Ok(()))) && self.activity.is_stream() {
            // whoever hangs up on an answer that lasts does not read it
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        // the end of the stream is what the server takes for the caller's goodbye
        if read.is_pending() { self.poll_end(poller) } else { read }
    }
}

impl AsyncWrite for HttpConnection {
    fn poll_write(mut self: Pin<&mut Self>, poller: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let in_the_middle = !self.goodbye.is_empty() && self.goodbye.len() < GOAWAY.len();
        if in_the_middle {
            ready!(self.poll_goodbye(poller))?;
        }
        self.activity.sending();
        self.silence = None;
        match self.bare_answer(bytes) {
            None => Pin::new(&mut self.stream).poll_write(poller, bytes),
            Some((0, status)) => self.poll_problem(poller, status).map_ok(|()| bytes.len()),
            // first what stands before it
            Some((place, _)) => Pin::new(&mut self.stream).poll_write(poller, &bytes[..place]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(poller))?;
        if !self.activity.has_sent() {
            self.activity.sent();
            // the server may see no reason to read again before the next request comes
            let ends = if self.is_http2 { self.leaving } else { self.activity.is_idle() && self.poll_leave(poller).is_ready() };
            if ends {
                poller.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(poller)
    }
}
