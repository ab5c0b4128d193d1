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
    http::StatusCode,
    web::Bytes,
};
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::threads::{Place, StreamsFull};

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
    /// Of those, the application's last ones could be taken for an answer that is not its own.
    ambiguous: Cell<bool>,
    /// An answer that lasts has begun.
    is_stream: Cell<bool>,
    /// Where each connection has a thread.
    place: Option<Place>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Rc<Activity>);

impl Activity {
    pub(super) fn new(place: Option<Place>) -> Rc<Self> {
        Rc::new(Self { place, ..Self::default() })
    }

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
        self.ambiguous.set(false);
    }

    pub(super) fn begin_stream(&self) -> Result<(), StreamsFull> {
        self.place.as_ref().map_or(Ok(()), Place::begin_stream)?;
        self.is_stream.set(true);
        Ok(())
    }

    /// Whether an answer lasts, whose reader is gone when nothing more can come from it.
    pub(super) fn is_stream(&self) -> bool {
        self.is_stream.get()
    }

    /// Whether bytes that are written, and look like an answer which is not the application's, are that.
    pub(super) fn may_answer_by_itself(&self) -> bool {
        !self.is_answering() && !self.ambiguous.get()
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

impl Busy {
    /// Whether the connection has to end with this answer.
    pub(super) fn is_last(&self) -> bool {
        self.0.place.as_ref().is_some_and(Place::is_stream)
    }

    /// The application has answered.
    pub(super) fn answers(&self, status: StatusCode, size: BodySize) {
        self.0.ambiguous.set(status.is_client_error() && matches!(size, BodySize::None | BodySize::Sized(0)));
    }

    /// The application has more to say.
    fn says(&self, piece: &[u8]) {
        self.0.ambiguous.set(piece.ends_with(b"\n"));
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
            if let (Some(Ok(piece)), Some(busy)) = (&piece, this.busy) {
                busy.says(piece);
            }
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
