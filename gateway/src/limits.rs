//! What bounds requests: the process's capacity, each client's share of it, and time.

use std::{
    future::{Ready, ready},
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};
use chassis::{Process, client};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Limits, Proxies, RateLimit},
    error::Error,
};

type Outcome = Result<ServiceResponse<BoxBody>, actix_web::Error>;
type Limiter = DefaultKeyedRateLimiter<IpAddr, StateInformationMiddleware>;

/// How often clients that have been idle for long enough are forgotten.
const EVICTION_INTERVAL: Duration = Duration::from_secs(10);

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What all serving threads share. Clones are the same.
#[derive(Clone)]
pub struct Shared {
    limiter: Option<Arc<Limiter>>,
    policy: HeaderValue,
    in_flight: Arc<AtomicUsize>,
    /// Cancelled when the process stops: endless answers end then.
    pub(crate) shutdown: CancellationToken,
    /// By whose settings connections are made.
    pub(crate) process: Process,
}

impl Shared {
    /// Limits as configured; idle clients are forgotten for as long as the process runs. Needs a runtime.
    pub fn new(config: &Config, process: &Process) -> Self {
        let RateLimit { requests_per_second, burst } = config.rate_limit;
        let rate = NonZeroU32::new(requests_per_second).zip(NonZeroU32::new(burst));
        let limiter = rate.map(|(rate, burst)| {
            let quota = Quota::per_second(rate).allow_burst(burst);
            Arc::new(RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>())
        });
        if let Some(limiter) = &limiter {
            process.background(forget_idle(Arc::clone(limiter), EVICTION_INTERVAL, process.shutdown.clone()));
        }
        // burst requests come back within this time
        let window = burst.div_ceil(requests_per_second.max(1)).max(1);
        let policy = HeaderValue::from_str(&format!("\"client\";q={burst};w={window}")).unwrap_or(HeaderValue::from_static("\"client\""));
        Self { limiter, policy, in_flight: Arc::default(), shutdown: process.shutdown.clone(), process: process.clone() }
    }
}

/// A client has been idle for long enough when its whole share is there again.
async fn forget_idle(limiter: Arc<Limiter>, interval: Duration, shutdown: CancellationToken) {
    while tokio::time::timeout(interval, shutdown.cancelled()).await.is_err() {
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
}

/// Answers with 503 where `limits.in_flight` requests are open already.
pub(crate) async fn shed_load(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let (Some(shared), Some(limits)) = (request.app_data::<Data<Shared>>().cloned(), request.app_data::<Data<Limits>>()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let open = Open::enter(&shared.in_flight);
    if open.number > limits.in_flight {
        return Ok(refuse(request, &Error::Overloaded));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// A request that is being answered.
struct Open<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Open<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers with 429 where the client has used up its share; tells all others how much is left of it.
pub(crate) async fn rate_limit(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let shared = request.app_data::<Data<Shared>>().cloned();
    let bounds = shared.as_ref().and_then(|shared| Some((&shared.policy, shared.limiter.as_ref()?)));
    let (Some((policy, limiter)), Some(client)) = (bounds, client_address(request.request())) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    match limiter.check_key(&client::network(client)) {
        Ok(left) => {
            let mut response = next.call(request).await?.map_into_boxed_body();
            tell(response.headers_mut(), policy, remaining(&left), 1);
            Ok(response)
        }
        Err(too_early) => {
            let retry_after = too_early.wait_time_from(DefaultClock::default().now());
            let mut response = refuse(request, &Error::RateLimited { retry_after });
            tell(response.headers_mut(), policy, 0, retry_after.as_secs() + 1);
            Ok(response)
        }
    }
}

fn remaining(left: &StateSnapshot) -> u32 {
    left.remaining_burst_capacity()
}

fn tell(headers: &mut HeaderMap, policy: &HeaderValue, remaining: u32, reset_seconds: u64) {
    headers.insert(RATELIMIT_POLICY, policy.clone());
    if let Ok(value) = HeaderValue::from_str(&format!("\"client\";r={remaining};t={reset_seconds}")) {
        headers.insert(RATELIMIT, value);
    }
}

fn refuse(request: ServiceRequest, error: &Error) -> ServiceResponse<BoxBody> {
    request.into_response(error.error_response())
}

/// Answers with 504 where no answer has begun within `limits.request_timeout_ms`; what was being done is dropped. Stands
/// around each resource, as [`crate::middleware::panics`] does.
pub(crate) async fn timeout(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let Some(limit) = request.app_data::<Data<Limits>>().map(|limits| limits.request_timeout()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let kept = request.request().clone();
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(outcome) => outcome.map(ServiceResponse::map_into_boxed_body),
        Err(_) => Ok(ServiceResponse::from_err(Error::TimedOut(limit), kept)),
    }
}

/// Leave to answer for as long as the client listens: there are places for so many (`runtime.max_streams`) where each
/// connection has a thread. The connection ends with the answer, whatever it is.
pub(crate) struct Lasting;

impl FromRequest for Lasting {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(chassis::http::begin_stream(request).map(|()| Self).map_err(Error::from))
    }
}

/// Where a request comes from: the peer, or what trusted proxies say of whom they stand for.
pub(crate) fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let trusted = request.app_data::<Data<Proxies>>().map_or(&[][..], |proxies| &proxies.trusted);
    if trusted.is_empty() {
        return Some(peer);
    }
    let lines = request.headers().get_all(X_FORWARDED_FOR).filter_map(|line| line.to_str().ok());
    let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    Some(behind_proxies(peer, &named, trusted))
}

/// Each proxy adds whom it speaks to at the end: from there on back, the first that is no trusted proxy is the client.
/// What stands before it is the client's own invention.
fn behind_proxies(peer: IpAddr, named: &[&str], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for name in named.iter().rev() {
        if !trusted.iter().any(|network| network.contains(&client)) {
            break;
        }
        let Ok(address) = name.parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_a_trusted_proxy_says_counts() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, named, client) in [
            ("192.0.2.1", &["1.1.1.1"][..], "192.0.2.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["made up", "1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["8.8.8.8", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["not an address"], "10.0.0.1"),
            ("fd00::1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            assert_eq!(behind_proxies(ip(peer), named, &trusted), ip(client), "{peer} {named:?}");
        }
    }

    #[tokio::test]
    async fn clients_that_are_idle_are_forgotten_and_busy_ones_are_not() {
        let quota = Quota::with_period(Duration::from_hours(1)).unwrap();
        let slow = Arc::new(RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>());
        let quota = Quota::per_second(NonZeroU32::MAX);
        let fast = Arc::new(RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>());
        for number in 0..10_000_u32 {
            let client = IpAddr::V4(number.into());
            assert!(slow.check_key(&client).is_ok() && fast.check_key(&client).is_ok());
        }
        let shutdown = CancellationToken::new();
        let forget = |limiter: &Arc<Limiter>| forget_idle(Arc::clone(limiter), Duration::from_millis(5), shutdown.clone());
        let forgotten = async {
            while !fast.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            shutdown.cancel();
        };
        let all = async { tokio::join!(forget(&slow), forget(&fast), forgotten) };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("idle clients are kept");
        assert_eq!(slow.len(), 10_000, "who has used up its share is remembered");
    }
}
