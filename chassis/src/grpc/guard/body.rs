//! The messages of a response.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::Terms;
use crate::grpc::deadline;

/// How long a stream that waits may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

pin_project_lite::pin_project! {
    /// A response's body that ends with a status of ours where the handler does not end it.
    pub(in crate::grpc) struct GuardedBody<B> {
        #[pin]
        inner: Option<B>,
        terms: Option<Terms>,
        // made when the stream waits for the first time, which the response of a unary call never does
        end: Option<BoxFuture<'static, Status>>,
    }
}

impl<B> GuardedBody<B> {
    pub(super) fn new(inner: B, terms: Option<Terms>) -> Self {
        Self { inner: Some(inner), terms, end: None }
    }

    pub(super) fn empty() -> Self {
        Self { inner: None, terms: None, end: None }
    }
}

impl<B: Body> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(terms) = this.terms else { return inner.poll_frame(poller) };
        let step = if terms.are_over() { Err(deadline::passed()) } else { terms.catch(|| inner.poll_frame(poller)) };
        let status = match step {
            Ok(Poll::Ready(frame)) => {
                note(terms, frame.as_ref());
                return Poll::Ready(frame);
            }
            Ok(Poll::Pending) => {
                let end = this.end.get_or_insert_with(|| Box::pin(end_of(terms)));
                ready!(end.as_mut().poll(poller))
            }
            Err(status) => status,
        };
        this.inner.set(None);
        terms.end(&status);
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Notes how the call ended, if it did.
fn note<D, E>(terms: &mut Terms, frame: Option<&Result<Frame<D>, E>>) {
    match frame {
        Some(Ok(frame)) => {
            if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                terms.end(&status);
            }
        }
        Some(Err(_)) | None => terms.end(&Status::new(Code::Unknown, "")),
    }
}

/// Completes when a stream has to end, with what its reader is told.
fn end_of(terms: &Terms) -> impl Future<Output = Status> + Send + 'static {
    let (at, stop) = (terms.deadline, Arc::clone(&terms.stop));
    async move {
        let late = async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = late => deadline::passed(),
            () = stopped(&stop) => Status::unavailable("the server is stopping"),
        }
    }
}

async fn stopped(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // ours are ASCII, which a header can hold
    let _fits = status.add_header(&mut trailers);
    trailers
}
