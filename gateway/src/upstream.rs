//! All calls to the services behind.

use std::{
    cell::Cell,
    error::Error as _,
    future::{Ready, ready},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use chassis::{StartError, grpc::Channel};
use futures::future::join3;
use proto::{
    auth::{
        LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, ValidateTokenRequest, ValidateTokenResponse,
        auth_service_client::AuthServiceClient,
    },
    catalog::{
        GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse, product_service_client::ProductServiceClient,
    },
    orders::{
        GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, PlaceOrderRequest, PlaceOrderResponse,
        order_service_client::OrderServiceClient,
    },
};
use serde::Serialize;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    caller::Caller,
    config::{Config, Upstream},
    error::Error,
    order::OrderId,
    page::PageQuery,
    product::ProductId,
};

/// Names in logs and in `/health`.
pub(crate) const AUTH: &str = "auth";
pub(crate) const CATALOG_CACHE: &str = "catalog-cache";
pub(crate) const ORDERS: &str = "orders";

/// One serving thread's connections.
pub(crate) struct Clients {
    auth: AuthServiceClient<Channel>,
    products: ProductServiceClient<Channel>,
    orders: OrderServiceClient<Channel>,
    health: [HealthClient<Channel>; 3],
    call_timeout: Duration,
}

impl Clients {
    /// Opens nothing yet. Must run on the thread that will use them.
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        let Upstream { auth, catalog_cache, orders } = &config.upstream;
        let (auth, catalog, orders) =
            (chassis::grpc::channel(auth)?, chassis::grpc::channel(catalog_cache)?, chassis::grpc::channel(orders)?);
        Ok(Self {
            health: [&auth, &catalog, &orders].map(|channel| HealthClient::new(channel.clone())),
            auth: AuthServiceClient::new(auth),
            products: ProductServiceClient::new(catalog),
            orders: OrderServiceClient::new(orders),
            call_timeout: config.limits.call_timeout(),
        })
    }
}

/// The calls that one request makes. They share `limits.call_timeout_ms`: what the first takes the next has not.
pub(crate) struct Calls {
    clients: Data<Clients>,
    left: TimeLeft,
}

#[derive(Clone)]
struct TimeLeft(Rc<Cell<Duration>>);

impl Calls {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Error> {
        let clients = request.app_data::<Data<Clients>>().cloned();
        let clients = clients.ok_or(Error::BrokenAnswer { service: "gateway", what: "its clients" })?;
        let mut extensions = request.extensions_mut();
        if let Some(left) = extensions.get::<TimeLeft>().cloned() {
            return Ok(Self { clients, left });
        }
        let left = TimeLeft(Rc::new(Cell::new(clients.call_timeout)));
        extensions.insert(left.clone());
        Ok(Self { clients, left })
    }

    pub(crate) async fn register(&self, message: RegisterRequest) -> Result<RegisterResponse, Error> {
        let mut client = self.clients.auth.clone();
        self.call(AUTH, message, |request| async move { client.register(request).await }).await
    }

    pub(crate) async fn login(&self, message: LoginRequest) -> Result<LoginResponse, Error> {
        let mut client = self.clients.auth.clone();
        self.call(AUTH, message, |request| async move { client.login(request).await }).await
    }

    pub(crate) async fn validate_token(&self, access_token: String) -> Result<ValidateTokenResponse, Error> {
        let mut client = self.clients.auth.clone();
        self.call(AUTH, ValidateTokenRequest { access_token }, |request| async move { client.validate_token(request).await }).await
    }

    pub(crate) async fn list_products(&self, page: PageQuery) -> Result<ListProductsResponse, Error> {
        let mut client = self.clients.products.clone();
        let message = ListProductsRequest { page_size: page.limit, page_token: page.cursor };
        self.call(CATALOG_CACHE, message, |request| async move { client.list_products(request).await }).await
    }

    pub(crate) async fn product(&self, id: ProductId) -> Result<GetProductResponse, Error> {
        let mut client = self.clients.products.clone();
        let message = GetProductRequest { product_id: id.into() };
        self.call(CATALOG_CACHE, message, |request| async move { client.get_product(request).await }).await
    }

    pub(crate) async fn place_order(&self, message: PlaceOrderRequest) -> Result<PlaceOrderResponse, Error> {
        let mut client = self.clients.orders.clone();
        self.call(ORDERS, message, |request| async move { client.place_order(request).await }).await
    }

    pub(crate) async fn list_orders(&self, caller: Caller, page: PageQuery) -> Result<ListOrdersResponse, Error> {
        let mut client = self.clients.orders.clone();
        let message = ListOrdersRequest { user_id: caller.user_id, page_size: page.limit, page_token: page.cursor };
        self.call(ORDERS, message, |request| async move { client.list_orders(request).await }).await
    }

    pub(crate) async fn order(&self, caller: Caller, id: OrderId) -> Result<GetOrderResponse, Error> {
        let mut client = self.clients.orders.clone();
        let message = GetOrderRequest { order_id: id.into(), user_id: caller.user_id };
        self.call(ORDERS, message, |request| async move { client.get_order(request).await }).await
    }

    /// What each upstream says of itself.
    pub(crate) async fn health(&self) -> Health {
        let [auth, catalog, orders] = &self.clients.health;
        let (auth, catalog_cache, orders) = join3(check(auth), check(catalog), check(orders)).await;
        let upstreams = Upstreams { auth, catalog_cache, orders };
        let all_serve = [auth, catalog_cache, orders].iter().all(|state| *state == State::Serving);
        Health { status: if all_serve { "ok" } else { "degraded" }, upstreams }
    }

    async fn call<M, T, F>(&self, service: &'static str, message: M, send: impl FnOnce(Request<M>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let left = self.left.0.get();
        let begun = Instant::now();
        let result = chassis::grpc::within(left, message, send).await;
        let taken = begun.elapsed();
        self.left.0.set(left.saturating_sub(taken));
        result.map_err(|status| Error::Upstream { service, status: Box::new(as_unavailable(status, taken >= left)), lines: Vec::new() })
    }
}

/// A status that no service sent: the connection broke (tonic keeps the reason as its source), or our own limit was over.
/// Both look like a service that is away.
fn as_unavailable(status: Status, is_late: bool) -> Status {
    let gave_up = is_late && matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
    if gave_up || status.source().is_some() { Status::unavailable(format!("no answer: {status}")) } else { status }
}

impl FromRequest for Calls {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// `GET /health`
#[derive(Serialize)]
pub(crate) struct Health {
    /// `ok` where all upstreams serve, else `degraded`.
    status: &'static str,
    upstreams: Upstreams,
}

#[derive(Serialize)]
struct Upstreams {
    auth: State,
    #[serde(rename = "catalog-cache")]
    catalog_cache: State,
    orders: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Serving,
    NotServing,
    Unreachable,
}

/// grpc.health.v1, of the server as a whole.
async fn check(client: &HealthClient<Channel>) -> State {
    const LIMIT: Duration = Duration::from_secs(1);
    let mut client = client.clone();
    let message = HealthCheckRequest { service: String::new() };
    match chassis::grpc::within(LIMIT, message, |request| async move { client.check(request).await }).await {
        Ok(answer) if answer.status() == ServingStatus::Serving => State::Serving,
        Ok(_) => State::NotServing,
        Err(_) => State::Unreachable,
    }
}
