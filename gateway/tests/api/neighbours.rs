//! The services behind the gateway: real gRPC servers, whose answers each test decides on.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::{
    auth::{
        LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, ValidateTokenRequest, ValidateTokenResponse,
        auth_service_server::{AuthService, AuthServiceServer},
    },
    catalog::{
        BatchGetProductsRequest, BatchGetProductsResponse, GetProductRequest, GetProductResponse, ListProductsRequest,
        ListProductsResponse,
        product_service_server::{ProductService, ProductServiceServer},
    },
    orders::{
        GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, PlaceOrderRequest, PlaceOrderResponse,
        order_service_server::{OrderService, OrderServiceServer},
    },
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

type Answer<M, T> = Arc<dyn Fn(&M) -> Result<T, Status> + Send + Sync>;

/// One method: what it answers, when, and what it was called with.
pub(crate) struct Method<M, T> {
    answer: Mutex<Answer<M, T>>,
    delay: Mutex<Duration>,
    calls: Mutex<Vec<(M, MetadataMap)>>,
}

impl<M, T> Default for Method<M, T> {
    fn default() -> Self {
        let answer: Answer<M, T> = Arc::new(|_| Err(Status::unimplemented("this test did not say what to answer")));
        Self { answer: Mutex::new(answer), delay: Mutex::default(), calls: Mutex::default() }
    }
}

impl<M: Clone, T> Method<M, T> {
    pub(crate) fn answers(&self, answer: impl Fn(&M) -> Result<T, Status> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn fails(&self, status: &Status) {
        let status = status.clone();
        self.answers(move |_| Err(status.clone()));
    }

    pub(crate) fn takes(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// The messages so far.
    pub(crate) fn messages(&self) -> Vec<M> {
        self.calls.lock().unwrap().iter().map(|(message, _)| message.clone()).collect()
    }

    /// A metadata value of the last call.
    pub(crate) fn last_metadata(&self, key: &str) -> Option<String> {
        let calls = self.calls.lock().unwrap();
        calls.last().and_then(|(_, metadata)| metadata.get(key)).map(|value| value.to_str().unwrap().to_owned())
    }

    async fn handle(&self, request: Request<M>) -> Result<Response<T>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.calls.lock().unwrap().push((message.clone(), metadata));
        let (answer, delay) = (Arc::clone(&self.answer.lock().unwrap()), *self.delay.lock().unwrap());
        tokio::time::sleep(delay).await;
        answer(&message).map(Response::new)
    }
}

/// All methods of all neighbours.
#[derive(Default)]
pub(crate) struct Neighbours {
    pub(crate) register: Method<RegisterRequest, RegisterResponse>,
    pub(crate) login: Method<LoginRequest, LoginResponse>,
    pub(crate) validate_token: Method<ValidateTokenRequest, ValidateTokenResponse>,
    pub(crate) get_product: Method<GetProductRequest, GetProductResponse>,
    pub(crate) batch_get_products: Method<BatchGetProductsRequest, BatchGetProductsResponse>,
    pub(crate) list_products: Method<ListProductsRequest, ListProductsResponse>,
    pub(crate) place_order: Method<PlaceOrderRequest, PlaceOrderResponse>,
    pub(crate) get_order: Method<GetOrderRequest, GetOrderResponse>,
    pub(crate) list_orders: Method<ListOrdersRequest, ListOrdersResponse>,
}

#[derive(Clone)]
struct Fake(Arc<Neighbours>);

#[tonic::async_trait]
impl AuthService for Fake {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        self.0.register.handle(request).await
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        self.0.login.handle(request).await
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        self.0.validate_token.handle(request).await
    }
}

#[tonic::async_trait]
impl ProductService for Fake {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        self.0.get_product.handle(request).await
    }

    async fn batch_get_products(&self, request: Request<BatchGetProductsRequest>) -> Result<Response<BatchGetProductsResponse>, Status> {
        self.0.batch_get_products.handle(request).await
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        self.0.list_products.handle(request).await
    }
}

#[tonic::async_trait]
impl OrderService for Fake {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<PlaceOrderResponse>, Status> {
        self.0.place_order.handle(request).await
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        self.0.get_order.handle(request).await
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        self.0.list_orders.handle(request).await
    }
}

/// Which neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Auth,
    CatalogCache,
    Orders,
}

/// A running neighbour, on a runtime of its own, so that it can be killed together with its connections.
pub(crate) struct Server {
    runtime: Option<Runtime>,
    reporter: HealthReporter,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(name: Name, neighbours: &Arc<Neighbours>, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (reporter, health) = tonic_health::server::health_reporter();
        let fake = Fake(Arc::clone(neighbours));
        let routes = match name {
            Name::Auth => Routes::new(AuthServiceServer::new(fake)),
            Name::CatalogCache => Routes::new(ProductServiceServer::new(fake)),
            Name::Orders => Routes::new(OrderServiceServer::new(fake)),
        };
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            tonic::transport::Server::builder().add_routes(routes.add_service(health)).serve_with_incoming(incoming).await
        });
        Self { runtime: Some(runtime), reporter, address }
    }

    pub(crate) async fn report(&self, status: ServingStatus) {
        self.reporter.set_service_status("", status).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
