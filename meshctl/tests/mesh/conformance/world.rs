//! A mesh, its gRPC ports, and people who have logged in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::Request as HttpRequest;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use proto::{
    auth::{
        CreateUsersRequest, LoginRequest, LoginResponse, auth_service_client::AuthServiceClient,
        session_service_client::SessionServiceClient, user_service_client::UserServiceClient,
    },
    catalog::{
        leaderboard_service_client::LeaderboardServiceClient, post_service_client::PostServiceClient,
        product_service_client::ProductServiceClient, rate_limit_service_client::RateLimitServiceClient,
    },
    orders::{
        customer_service_client::CustomerServiceClient, order_service_client::OrderServiceClient,
        report_service_client::ReportServiceClient, stock_service_client::StockServiceClient,
    },
};
use tokio::time::timeout;
use tonic::{
    Code, Request, Streaming,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::Service;

use crate::{exposition::Exposition, running::Mesh};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const SERVERS: [&str; 3] = ["auth", "catalog-cache", "orders"];
pub(super) const PASSWORD: &str = "a long enough password";

/// A channel that notes which methods are called through it.
#[derive(Clone)]
pub(super) struct Link {
    channel: Channel,
    called: Arc<Mutex<BTreeSet<String>>>,
}

impl Service<HttpRequest<Body>> for Link {
    type Response = <Channel as Service<HttpRequest<Body>>>::Response;
    type Error = <Channel as Service<HttpRequest<Body>>>::Error;
    type Future = <Channel as Service<HttpRequest<Body>>>::Future;

    fn poll_ready(&mut self, poller: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, poller)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        self.called.lock().unwrap().insert(request.uri().path().to_owned());
        Service::call(&mut self.channel, request)
    }
}

pub(super) struct World {
    pub(super) mesh: Mesh,
    /// Of the gRPC ports, by service.
    urls: BTreeMap<&'static str, String>,
    auth: Link,
    catalog: Link,
    orders: Link,
    pub(super) demo: Person,
    pub(super) admin: Person,
}

/// Somebody with a session.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) session_id: String,
    pub(super) token: String,
    pub(super) refresh_token: String,
}

impl Person {
    fn of(login: LoginResponse) -> Self {
        let user = login.user.unwrap();
        Self {
            user_id: user.user_id,
            username: user.username,
            session_id: login.session_id,
            token: login.access_token,
            refresh_token: login.refresh_token,
        }
    }

    /// What this person asks.
    pub(super) fn asks<T>(&self, message: T) -> Request<T> {
        bearing(&self.token, message)
    }

    pub(super) fn sends<M: Send + 'static>(&self, messages: Vec<M>) -> Request<impl futures::Stream<Item = M> + Send + use<M>> {
        self.asks(futures::stream::iter(messages))
    }
}

/// A request with a token.
pub(super) fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

impl World {
    pub(super) async fn start() -> Self {
        let mesh = Mesh::start(&[]);
        let called = Arc::default();
        let urls = SERVERS.map(|name| (name, mesh.service(name)["grpc"].as_str().unwrap_or_else(|| panic!("{name} is down")).to_owned()));
        let urls = BTreeMap::from(urls);
        let link = async |service: &str| Link { channel: connect(&urls[service]).await, called: Arc::clone(&called) };
        let (auth, catalog, orders) = (link("auth").await, link("catalog-cache").await, link("orders").await);
        let log_in = async |(email, password): (String, String)| login(&mut AuthServiceClient::new(auth.clone()), &email, &password).await;
        let (demo, admin) = (log_in(mesh.demo()).await, log_in(mesh.admin()).await);
        called.lock().unwrap().clear();
        Self { mesh, urls, auth, catalog, orders, demo, admin }
    }

    pub(super) fn url(&self, service: &str) -> &str {
        &self.urls[service]
    }

    /// A connection of its own.
    pub(super) async fn connection(&self, service: &str) -> Channel {
        connect(self.url(service)).await
    }

    /// How many calls of a method of auth have ended, with a code or with any, as the service counts them.
    pub(super) async fn ended(&self, method: &str, code: Option<Code>) -> f64 {
        let code = code.map(|code| i32::from(code).to_string());
        let labels: Vec<_> =
            [("rpc_method", method)].into_iter().chain(code.iter().map(|code| ("rpc_grpc_status_code", code.as_str()))).collect();
        Exposition::of(&self.mesh, "auth").await.sum("rpc_server_duration_seconds_count", &labels)
    }

    /// Which methods were called.
    pub(super) fn called(&self) -> BTreeSet<String> {
        self.auth.called.lock().unwrap().clone()
    }

    /// Somebody new.
    pub(super) async fn person(&self, name: &str) -> Person {
        let wish = CreateUsersRequest { username: name.into(), email: email(name), password: PASSWORD.into(), role: String::new() };
        let made = self.users().create_users(self.admin.sends(vec![wish])).await.unwrap().into_inner();
        assert!(matches!(&made.results[0].result, Some(proto::auth::create_users_result::Result::User(_))), "{made:?}");
        self.log_in(name).await
    }

    pub(super) async fn log_in(&self, name: &str) -> Person {
        login(&mut self.accounts(), &email(name), PASSWORD).await
    }

    pub(super) fn accounts(&self) -> AuthServiceClient<Link> {
        AuthServiceClient::new(self.auth.clone())
    }

    pub(super) fn users(&self) -> UserServiceClient<Link> {
        UserServiceClient::new(self.auth.clone())
    }

    pub(super) fn sessions(&self) -> SessionServiceClient<Link> {
        SessionServiceClient::new(self.auth.clone())
    }

    pub(super) fn products(&self) -> ProductServiceClient<Link> {
        ProductServiceClient::new(self.catalog.clone())
    }

    pub(super) fn posts(&self) -> PostServiceClient<Link> {
        PostServiceClient::new(self.catalog.clone())
    }

    pub(super) fn limits(&self) -> RateLimitServiceClient<Link> {
        RateLimitServiceClient::new(self.catalog.clone())
    }

    pub(super) fn leaderboard(&self) -> LeaderboardServiceClient<Link> {
        LeaderboardServiceClient::new(self.catalog.clone())
    }

    pub(super) fn orders(&self) -> OrderServiceClient<Link> {
        OrderServiceClient::new(self.orders.clone())
    }

    pub(super) fn customers(&self) -> CustomerServiceClient<Link> {
        CustomerServiceClient::new(self.orders.clone())
    }

    pub(super) fn stock(&self) -> StockServiceClient<Link> {
        StockServiceClient::new(self.orders.clone())
    }

    pub(super) fn reports(&self) -> ReportServiceClient<Link> {
        ReportServiceClient::new(self.orders.clone())
    }
}

pub(super) fn email(name: &str) -> String {
    format!("{name}@example.org")
}

pub(super) async fn login(accounts: &mut AuthServiceClient<Link>, email: &str, password: &str) -> Person {
    let login = LoginRequest { email: email.into(), password: password.into(), client_address: String::new() };
    Person::of(accounts.login(login).await.unwrap().into_inner())
}

async fn connect(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap()
}

/// The next message, which has to come.
pub(super) async fn next<T>(stream: &mut Streaming<T>) -> T {
    let message = timeout(PATIENCE, stream.message()).await.unwrap_or_else(|_| panic!("nothing comes"));
    message.unwrap().unwrap_or_else(|| panic!("the stream has ended"))
}

/// All messages up to the end, which has to come.
pub(super) async fn all<T>(mut stream: Streaming<T>) -> Vec<T> {
    let mut messages = Vec::new();
    while let Some(message) = timeout(PATIENCE, stream.message()).await.unwrap_or_else(|_| panic!("no end comes")).unwrap() {
        messages.push(message);
    }
    messages
}

/// Every RPC of the contract.
pub(super) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// `/package.Service/Method`
pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Who serves a method.
pub(super) fn server(method: &MethodDescriptor) -> &'static str {
    match method.parent_service().package_name() {
        "throughline.auth.v1" => "auth",
        "throughline.catalog.v1" => "catalog-cache",
        "throughline.orders.v1" => "orders",
        other => panic!("{other} is served by nobody"),
    }
}
