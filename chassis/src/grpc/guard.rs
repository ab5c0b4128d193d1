//! What every gRPC server does around its handlers: a call ends when its deadline has passed, a panic is an answer, streams
//! are bounded and end when the server stops, and each call can be a line in the log.

mod body;
mod record;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Context, Poll},
};

use body::GuardedBody;
use futures::future::{Either, Ready, ready};
use http::{Request, Response, uri::PathAndQuery};
use record::Record;
use telemetry::logs::CallLevel;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower_layer::Layer;
use tower_service::Service;

use super::{deadline, services::Services};
use crate::{status, threads::Place};

/// Layer for a tonic server; see the module.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    stop: Arc<CancellationToken>,
    level: CallLevel,
    /// Where each connection has a thread: that of the connection, and which of its calls are streams that last.
    place: Option<(Place, Services)>,
}

impl Guard {
    /// `stop` is cancelled when streams should end; `level` is the one at which calls are logged.
    pub(super) fn new(stop: CancellationToken, level: CallLevel) -> Self {
        Self { stop: Arc::new(stop), level, place: None }
    }

    /// The same, for one connection.
    pub(super) fn at(self, place: Place, services: Services) -> Self {
        Self { place: Some((place, services)), ..self }
    }

    /// Refuses a stream for which there is no place.
    fn admit(&self, path: &str) -> Result<(), Status> {
        match &self.place {
            Some((place, services)) if services.is_stream(path) => place.begin_stream().map_err(|_| status::streams_full()),
            _ => Ok(()),
        }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// What [`Guard`] makes of the service below it.
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S, B> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<GuardedBody<B>>;
    type Error = S::Error;
    type Future = Either<GuardedCall<S::Future>, Ready<Result<Self::Response, S::Error>>>;

    fn poll_ready(&mut self, poller: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(poller)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let terms = Terms {
            deadline: deadline::told(request.headers()),
            method: request.uri().path_and_query().cloned(),
            stop: Arc::clone(&self.guard.stop),
            record: Record::begin(&request, self.guard.level),
        };
        if let Err(status) = self.guard.admit(request.uri().path()) {
            return Either::Right(ready(Ok(refused(status, Some(terms)))));
        }
        let timer = terms.deadline.map(sleep_until);
        let call = terms.hold(|| self.inner.call(request));
        Either::Left(GuardedCall { call: Some(call), timer, terms: Some(terms) })
    }
}

/// On what terms one call is served.
pub(super) struct Terms {
    deadline: Option<Instant>,
    method: Option<PathAndQuery>,
    stop: Arc<CancellationToken>,
    record: Option<Record>,
}

impl Terms {
    fn are_over(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }

    /// Runs a piece of the handler with the call's deadline.
    fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        deadline::attached(self.deadline, work)
    }

    /// The same, where it may panic: that is logged here and told as `INTERNAL`.
    fn catch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Status> {
        catch_unwind(AssertUnwindSafe(|| self.hold(work))).map_err(|panic| {
            let method = method(self.method.as_ref());
            tracing::error!("rpc.method" = method, panic = message(panic.as_ref()), "a handler panicked");
            Status::internal("internal error")
        })
    }

    /// The call is over.
    fn end(&mut self, status: &Status) {
        if let Some(record) = &mut self.record {
            record.end(status.code());
        }
    }
}

/// `package.Service/Method`
fn method(path: Option<&PathAndQuery>) -> &str {
    path.map_or("", |path| path.path().trim_start_matches('/'))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

pin_project_lite::pin_project! {
    /// A call until its response begins.
    pub(super) struct GuardedCall<F> {
        #[pin]
        call: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        terms: Option<Terms>,
    }
}

impl<F, B, E> Future for GuardedCall<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<GuardedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(call), Some(terms)) = (this.call.as_mut().as_pin_mut(), this.terms.as_ref()) else { return Poll::Pending };
        let step = if terms.are_over() { Err(deadline::passed()) } else { terms.catch(|| call.poll(poller)) };
        let outcome = match step {
            Ok(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
            Ok(Poll::Ready(Ok(response))) => Ok(response),
            Ok(Poll::Pending) => {
                let Some(timer) = this.timer.as_mut().as_pin_mut() else { return Poll::Pending };
                task::ready!(timer.poll(poller));
                Err(deadline::passed())
            }
            Err(status) => Err(status),
        };
        // what is left of the handler's work ends before anything is said
        this.call.set(None);
        Poll::Ready(Ok(match (outcome, this.terms.take()) {
            (Ok(response), terms) => delivered(response, terms),
            (Err(status), terms) => refused(status, terms),
        }))
    }
}

fn delivered<B>(response: Response<B>, mut terms: Option<Terms>) -> Response<GuardedBody<B>> {
    // without a body to come the headers hold the status ("trailers only")
    if let (Some(terms), Some(status)) = (&mut terms, Status::from_header_map(response.headers())) {
        terms.end(&status);
    }
    response.map(|body| GuardedBody::new(body, terms))
}

fn refused<B>(status: Status, terms: Option<Terms>) -> Response<GuardedBody<B>> {
    if let Some(mut terms) = terms {
        terms.end(&status);
    }
    status.into_http::<()>().map(|()| GuardedBody::empty())
}
