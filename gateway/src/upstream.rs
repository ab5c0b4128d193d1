//! All calls to the services behind.

pub(crate) mod health;
mod methods;

use std::{
    cell::{Cell, RefCell},
    error::Error as _,
    future::{Ready, ready},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use chassis::{Process, StartError, grpc::Channel};
use proto::{
    auth::{auth_service_client::AuthServiceClient, session_service_client::SessionServiceClient, user_service_client::UserServiceClient},
    catalog::{
        leaderboard_service_client::LeaderboardServiceClient, post_service_client::PostServiceClient,
        product_service_client::ProductServiceClient, rate_limit_service_client::RateLimitServiceClient,
    },
    orders::{
        customer_service_client::CustomerServiceClient, order_service_client::OrderServiceClient,
        report_service_client::ReportServiceClient, stock_service_client::StockServiceClient,
    },
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    config::{Config, Upstream},
    error::Error,
};

/// Names in logs and in `/health`.
pub(crate) const AUTH: &str = "auth";
pub(crate) const CATALOG_CACHE: &str = "catalog-cache";
pub(crate) const ORDERS: &str = "orders";

/// Of an answer: 500 products with the longest descriptions; a report on many years.
const MOST_BYTES: usize = 16 << 20;

/// One serving thread's connections.
pub(crate) struct Clients {
    auth: AuthServiceClient<Channel>,
    users: UserServiceClient<Channel>,
    sessions: SessionServiceClient<Channel>,
    products: ProductServiceClient<Channel>,
    posts: PostServiceClient<Channel>,
    rate_limits: RateLimitServiceClient<Channel>,
    leaderboard: LeaderboardServiceClient<Channel>,
    orders: OrderServiceClient<Channel>,
    customers: CustomerServiceClient<Channel>,
    stock: StockServiceClient<Channel>,
    reports: ReportServiceClient<Channel>,
    /// Of [`AUTH`], [`CATALOG_CACHE`] and [`ORDERS`].
    channels: [Channel; 3],
    call_timeout: Duration,
    report_timeout: Duration,
}

impl Clients {
    /// Opens nothing yet. Must run on the thread that will use them.
    pub(crate) fn new(config: &Config, process: &Process) -> Result<Self, StartError> {
        let Upstream { auth, catalog_cache, orders } = &config.upstream;
        let (auth, catalog, orders) = (process.channel(auth)?, process.channel(catalog_cache)?, process.channel(orders)?);
        Ok(Self {
            channels: [auth.clone(), catalog.clone(), orders.clone()],
            auth: AuthServiceClient::new(auth.clone()),
            users: UserServiceClient::new(auth.clone()),
            sessions: SessionServiceClient::new(auth),
            products: ProductServiceClient::new(catalog.clone()).max_decoding_message_size(MOST_BYTES),
            posts: PostServiceClient::new(catalog.clone()),
            rate_limits: RateLimitServiceClient::new(catalog.clone()),
            leaderboard: LeaderboardServiceClient::new(catalog),
            orders: OrderServiceClient::new(orders.clone()),
            customers: CustomerServiceClient::new(orders.clone()),
            stock: StockServiceClient::new(orders.clone()),
            reports: ReportServiceClient::new(orders).max_decoding_message_size(MOST_BYTES),
            call_timeout: config.limits.call_timeout(),
            report_timeout: config.limits.report_timeout(),
        })
    }
}

/// The calls that one request makes. They share `limits.call_timeout_ms`: what the first takes the next has not.
pub(crate) struct Calls {
    clients: Data<Clients>,
    request: Rc<PerRequest>,
}

struct PerRequest {
    time_left: Cell<Duration>,
    /// On whose behalf calls are made that need credentials.
    bearer: RefCell<Option<MetadataValue<Ascii>>>,
}

impl Calls {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Error> {
        let clients = request.app_data::<Data<Clients>>().cloned();
        let clients = clients.ok_or(Error::BrokenAnswer { service: "gateway", what: "its clients" })?;
        let mut extensions = request.extensions_mut();
        if let Some(request) = extensions.get::<Rc<PerRequest>>().cloned() {
            return Ok(Self { clients, request });
        }
        let request = Rc::new(PerRequest { time_left: Cell::new(clients.call_timeout), bearer: RefCell::default() });
        extensions.insert(Rc::clone(&request));
        Ok(Self { clients, request })
    }

    /// Lets the calls from here on take together as long as a report may: it reads more than other requests.
    pub(crate) fn for_report(&self) -> &Self {
        self.request.time_left.set(self.clients.report_timeout);
        self
    }

    /// Lets the calls of this request that need credentials carry this access token.
    pub(crate) fn act_for(&self, access_token: &str) {
        let value = MetadataValue::try_from(format!("Bearer {access_token}")).ok();
        *self.request.bearer.borrow_mut() = value.map(|mut value| {
            value.set_sensitive(true);
            value
        });
    }

    async fn call<M, T, F>(&self, service: &'static str, message: M, send: impl FnOnce(Request<M>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.timed(service, |left| chassis::grpc::within(left, message, |request| send(self.with_credentials(service, request)))).await
    }

    /// As [`Self::call`], for what only reads: it may be asked again where the service is away for a moment.
    async fn read<M, T, F>(&self, service: &'static str, message: M, send: impl Fn(Request<M>) -> F) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let [auth, catalog_cache, orders] = &self.clients.channels;
        let channel = match service {
            AUTH => auth,
            CATALOG_CACHE => catalog_cache,
            _ => orders,
        };
        self.timed(service, |left| channel.idempotent(left, message, |request| send(self.with_credentials(service, request)))).await
    }

    /// A call within the time that is left, which has less afterwards. What the request does between its calls, such as waiting
    /// for a body, takes nothing of it: a deadline would.
    async fn timed<T, F>(&self, service: &'static str, call: impl FnOnce(Duration) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (left, begun) = (self.request.time_left.get(), Instant::now());
        let result = call(left).await;
        self.request.time_left.set(left.saturating_sub(begun.elapsed()));
        result.map_err(|status| failed(service, status))
    }

    /// Only auth is told whose token it is.
    fn with_credentials<M>(&self, service: &'static str, mut request: Request<M>) -> Request<M> {
        if service == AUTH
            && let Some(bearer) = self.request.bearer.borrow().as_ref()
        {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

pub(crate) fn failed(service: &'static str, status: Status) -> Error {
    Error::Upstream { service, status: Box::new(as_unavailable(status)), lines: Vec::new() }
}

/// A status that no service sent because the connection broke (tonic keeps the reason as its source) looks like a service that
/// is away.
fn as_unavailable(status: Status) -> Status {
    if status.source().is_some() { Status::unavailable(format!("no answer: {status}")) } else { status }
}

impl FromRequest for Calls {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
