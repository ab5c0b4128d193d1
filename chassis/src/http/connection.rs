//! A connection that ends by itself when it is idle and either the process stops or others wait for its thread.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{Fuse, LocalBoxFuture},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::threads::Connections;

/// What the thread's only connection is doing.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests that are being answered.
    open: Cell<usize>,
    /// Bytes came of which no request has been made yet.
    received: Cell<bool>,
    /// Bytes of an answer that have not gone yet.
    unsent: Cell<bool>,
}

/// A request that is being answered.
pub(super) struct Busy(Rc<Activity>);

impl Activity {
    pub(super) fn begin(activity: &Rc<Self>) -> Busy {
        activity.open.set(activity.open.get() + 1);
        activity.received.set(false);
        Busy(Rc::clone(activity))
    }

    pub(super) fn reset(&self) {
        self.open.set(0);
        self.received.set(false);
        self.unsent.set(false);
    }

    fn is_idle(&self) -> bool {
        self.open.get() == 0 && !self.received.get() && !self.unsent.get()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        // the rest of a body that nobody asked for
        self.0.received.set(false);
    }
}

/// See the module.
pub(super) struct HttpConnection {
    stream: TcpStream,
    activity: Rc<Activity>,
    leave: Fuse<LocalBoxFuture<'static, ()>>,
    left: bool,
}

impl HttpConnection {
    pub(super) fn new(stream: TcpStream, activity: Rc<Activity>, connections: &Connections) -> Self {
        let (shortage, shutdown) = (Arc::clone(&connections.shortage), connections.shutdown());
        let leave = async move {
            tokio::select! {
                () = shortage.room_is_wanted() => {}
                () = shutdown.cancelled() => {}
            }
        };
        Self { stream, activity, leave: leave.boxed_local().fuse(), left: false }
    }
}

impl AsyncRead for HttpConnection {
    fn poll_read(mut self: Pin<&mut Self>, poller: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(poller, buffer);
        if buffer.filled().len() > before {
            self.activity.received.set(true);
        }
        // nothing to read and nothing to do: the end of the stream is what the server takes for the caller's goodbye
        if read.is_pending() && self.activity.is_idle() {
            self.left = self.left || self.leave.poll_unpin(poller).is_ready();
            if self.left {
                return Poll::Ready(Ok(()));
            }
        }
        read
    }
}

impl AsyncWrite for HttpConnection {
    fn poll_write(mut self: Pin<&mut Self>, poller: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.unsent.set(true);
        Pin::new(&mut self.stream).poll_write(poller, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(poller);
        if flushed.is_ready() {
            self.activity.unsent.set(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(poller)
    }
}
