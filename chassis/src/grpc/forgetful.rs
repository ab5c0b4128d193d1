//! [`Scenario::LostContext`] where it is about gRPC: calls leave without their trace context.

use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::scenario::{Scenario, Scenarios};

/// What carries the trace on: <https://www.w3.org/TR/trace-context/> and <https://www.w3.org/TR/baggage/>
const CONTEXT: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Stands below the layer that writes the headers.
#[derive(Debug, Clone)]
pub struct Forgetful<S> {
    inner: S,
    scenarios: Scenarios,
}

impl<S> Forgetful<S> {
    pub(super) fn new(inner: S, scenarios: Scenarios) -> Self {
        Self { inner, scenarios }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Forgetful<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, poller: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(poller)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if self.scenarios.is_about(Scenario::LostContext, "hop", "grpc") && self.scenarios.strikes(Scenario::LostContext) {
            for name in CONTEXT {
                request.headers_mut().remove(name);
            }
        }
        self.inner.call(request)
    }
}
