//! A response body that ends the span when the call is over, which is when its trailers have passed.

use std::{
    pin::Pin,
    task::{Context as Poller, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute as semconv;
use tonic::{Code, Status};

use super::{OTHER, Side, code_name, is_failure};
use crate::{metrics, span::Edge};

pin_project_lite::pin_project! {
    /// See the module.
    pub struct TracedBody<B> {
        #[pin]
        inner: B,
        end: Option<SpanEnd>,
    }
}

impl<B> TracedBody<B> {
    pub(super) fn new(inner: B, end: Option<SpanEnd>) -> Self {
        Self { inner, end }
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(end) = this.end else { return this.inner.poll_frame(poller) };
        // what runs below, a streaming handler for one, belongs to the span
        let attached = end.edge.context.clone().attach();
        let frame = ready!(this.inner.poll_frame(poller));
        drop(attached);
        match &frame {
            Some(Ok(frame)) => frame.trailers_ref().into_iter().for_each(|trailers| end.finish(trailers)),
            Some(Err(_)) => end.fail(Code::Unknown, "the stream broke"),
            None => end.finish(&http::HeaderMap::new()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Awaits a call; its span ends with the body, or at once with `lost` where there is no response.
pub(super) async fn traced<F, B, E>(call: F, mut end: SpanEnd, lost: (Code, &str)) -> Result<Response<TracedBody<B>>, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    match call.await {
        Ok(response) => {
            end.headers(response.headers());
            Ok(response.map(|body| TracedBody::new(body, Some(end))))
        }
        Err(error) => {
            end.fail(lost.0, lost.1);
            Err(error)
        }
    }
}

/// Ends a span once: with the status that the call had, or as cancelled where it is dropped before that.
pub(super) struct SpanEnd {
    edge: Edge,
    method: String,
    side: Side,
    done: bool,
}

impl SpanEnd {
    pub(super) fn new(edge: Edge, method: String, side: Side) -> Self {
        Self { edge, method, side, done: false }
    }

    /// Headers of a response: without a body to come they hold the status already ("trailers only").
    pub(super) fn headers(&mut self, headers: &http::HeaderMap) {
        if headers.contains_key("grpc-status") {
            self.finish(headers);
        }
    }

    pub(super) fn finish(&mut self, trailers: &http::HeaderMap) {
        match Status::from_header_map(trailers) {
            Some(status) => self.fail(status.code(), status.message()),
            None => self.fail(Code::Unknown, "no grpc-status was sent"),
        }
    }

    /// Ends the span with any code, [`Code::Ok`] included.
    pub(super) fn fail(&mut self, code: Code, message: &str) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let name = code_name(code);
        let status = KeyValue::new(semconv::RPC_RESPONSE_STATUS_CODE, name);
        let method = std::mem::take(&mut self.method);
        // one that nobody serves is the caller's invention
        if self.side == Side::Server && code == Code::Unimplemented {
            metrics::rpc(self.side, OTHER, code.into(), self.edge.since, &self.edge.context);
            self.edge.rename(OTHER.to_owned());
            let original = KeyValue::new(semconv::RPC_METHOD_ORIGINAL, method);
            self.edge.set([status, KeyValue::new(semconv::RPC_METHOD, OTHER), original]);
        } else {
            metrics::rpc(self.side, &method, code.into(), self.edge.since, &self.edge.context);
            self.edge.set([status, KeyValue::new(semconv::RPC_METHOD, method)]);
        }
        self.edge.end(is_failure(self.side, code).then(|| (name.to_owned(), message.to_owned())));
    }
}

impl Drop for SpanEnd {
    fn drop(&mut self) {
        self.fail(Code::Cancelled, "the caller went away");
    }
}
