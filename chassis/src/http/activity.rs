//! What a connection is doing, so that it can be ended when it is doing nothing.

use std::{
    cell::Cell,
    error::Error,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    body::{BodySize, MessageBody},
    web::Bytes,
};
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

/// How long an answer that waits for its next piece may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// See the module. One for each connection, in the data of its requests.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests that are being answered.
    open: Cell<usize>,
    /// Bytes came of which no request has been made yet. Means nothing in HTTP/2, where there are others than requests'.
    received: Cell<bool>,
    /// Bytes of an answer that have not gone yet.
    unsent: Cell<bool>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Rc<Activity>);

impl Activity {
    pub(super) fn begin(activity: &Rc<Self>) -> Busy {
        activity.open.set(activity.open.get() + 1);
        activity.received.set(false);
        Busy(Rc::clone(activity))
    }

    pub(super) fn received(&self) {
        self.received.set(true);
    }

    pub(super) fn sending(&self) {
        self.unsent.set(true);
    }

    pub(super) fn sent(&self) {
        self.unsent.set(false);
    }

    /// Whether all that was written has gone: where that is so, a frame of HTTP/2 is at its end.
    pub(super) fn has_sent(&self) -> bool {
        !self.unsent.get()
    }

    pub(super) fn is_answering(&self) -> bool {
        self.open.get() > 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.has_sent() && !self.is_answering() && !self.received.get()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        // the rest of a body that nobody asked for
        self.0.received.set(false);
    }
}

pin_project_lite::pin_project! {
    /// An answer's body, which is part of the answering. Where it is endless, the stop ends it.
    pub(super) struct BusyBody<B> {
        #[pin]
        inner: B,
        busy: Option<Busy>,
        stop: CancellationToken,
        end: Option<BoxFuture<'static, ()>>,
    }
}

impl<B> BusyBody<B> {
    pub(super) fn new(inner: B, busy: Option<Busy>, stop: CancellationToken) -> Self {
        Self { inner, busy, stop, end: None }
    }
}

impl<B: MessageBody> MessageBody for BusyBody<B> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        if let Poll::Ready(piece) = this.inner.poll_next(poller) {
            return Poll::Ready(piece.map(|piece| piece.map_err(Into::into)));
        }
        let stop = &*this.stop;
        let end = this.end.get_or_insert_with(|| stopped(stop.clone()).boxed());
        ready!(end.as_mut().poll(poller));
        // an answer that is cut off must not look whole
        Poll::Ready(Some(Err("the server is stopping".into())))
    }
}

async fn stopped(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}
