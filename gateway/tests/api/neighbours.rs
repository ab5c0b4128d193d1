//! The services behind the gateway: real gRPC servers, whose answers each test decides on.

use std::{net::SocketAddr, sync::Arc};

use futures::{
    StreamExt,
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use proto::{auth, catalog, orders};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::method::Method;

/// All methods of all neighbours.
#[derive(Default)]
pub(crate) struct Neighbours {
    pub(crate) register: Method<auth::RegisterRequest, auth::RegisterResponse>,
    pub(crate) login: Method<auth::LoginRequest, auth::LoginResponse>,
    pub(crate) logout: Method<auth::LogoutRequest, auth::LogoutResponse>,
    pub(crate) validate_token: Method<auth::ValidateTokenRequest, auth::ValidateTokenResponse>,
    pub(crate) refresh_token: Method<auth::RefreshTokenRequest, auth::RefreshTokenResponse>,
    pub(crate) stream_events: Method<auth::StreamEventsRequest, Vec<auth::StreamEventsResponse>>,
    pub(crate) get_user: Method<auth::GetUserRequest, auth::GetUserResponse>,
    pub(crate) list_users: Method<auth::ListUsersRequest, Vec<auth::ListUsersResponse>>,
    pub(crate) create_users: Method<Vec<auth::CreateUsersRequest>, auth::CreateUsersResponse>,
    pub(crate) update_user: Method<auth::UpdateUserRequest, auth::UpdateUserResponse>,
    pub(crate) delete_user: Method<auth::DeleteUserRequest, auth::DeleteUserResponse>,
    pub(crate) set_avatar: Method<Vec<auth::SetAvatarRequest>, auth::SetAvatarResponse>,
    pub(crate) get_avatar: Method<auth::GetAvatarRequest, Vec<auth::GetAvatarResponse>>,
    pub(crate) get_session: Method<auth::GetSessionRequest, auth::GetSessionResponse>,
    pub(crate) delete_session: Method<auth::DeleteSessionRequest, auth::DeleteSessionResponse>,
    pub(crate) get_product: Method<catalog::GetProductRequest, catalog::GetProductResponse>,
    pub(crate) batch_get_products: Method<catalog::BatchGetProductsRequest, catalog::BatchGetProductsResponse>,
    pub(crate) list_products: Method<catalog::ListProductsRequest, catalog::ListProductsResponse>,
    pub(crate) search_products: Method<catalog::SearchProductsRequest, Vec<catalog::SearchProductsResponse>>,
    pub(crate) create_product: Method<catalog::CreateProductRequest, catalog::CreateProductResponse>,
    pub(crate) update_product: Method<catalog::UpdateProductRequest, catalog::UpdateProductResponse>,
    pub(crate) delete_product: Method<catalog::DeleteProductRequest, catalog::DeleteProductResponse>,
    pub(crate) list_posts: Method<catalog::ListPostsRequest, catalog::ListPostsResponse>,
    pub(crate) get_post: Method<catalog::GetPostRequest, catalog::GetPostResponse>,
    pub(crate) create_post: Method<catalog::CreatePostRequest, catalog::CreatePostResponse>,
    pub(crate) update_post: Method<catalog::UpdatePostRequest, catalog::UpdatePostResponse>,
    pub(crate) delete_post: Method<catalog::DeletePostRequest, catalog::DeletePostResponse>,
    pub(crate) create_comment: Method<catalog::CreateCommentRequest, catalog::CreateCommentResponse>,
    pub(crate) check_rate_limit: Method<catalog::CheckRateLimitRequest, catalog::CheckRateLimitResponse>,
    pub(crate) get_leaderboard: Method<catalog::GetLeaderboardRequest, catalog::GetLeaderboardResponse>,
    pub(crate) place_order: Method<orders::PlaceOrderRequest, orders::PlaceOrderResponse>,
    pub(crate) get_order: Method<orders::GetOrderRequest, orders::GetOrderResponse>,
    pub(crate) list_orders: Method<orders::ListOrdersRequest, orders::ListOrdersResponse>,
    pub(crate) update_order_status: Method<orders::UpdateOrderStatusRequest, orders::UpdateOrderStatusResponse>,
    pub(crate) cancel_order: Method<orders::CancelOrderRequest, orders::CancelOrderResponse>,
    pub(crate) get_order_stats: Method<orders::GetOrderStatsRequest, orders::GetOrderStatsResponse>,
    pub(crate) create_customer: Method<orders::CreateCustomerRequest, orders::CreateCustomerResponse>,
    pub(crate) get_customer: Method<orders::GetCustomerRequest, orders::GetCustomerResponse>,
    pub(crate) list_customers: Method<orders::ListCustomersRequest, orders::ListCustomersResponse>,
    pub(crate) get_stock: Method<orders::GetStockRequest, orders::GetStockResponse>,
    pub(crate) set_stock: Method<orders::SetStockRequest, orders::SetStockResponse>,
    pub(crate) get_revenue_by_day: Method<orders::GetRevenueByDayRequest, orders::GetRevenueByDayResponse>,
    pub(crate) get_top_customers: Method<orders::GetTopCustomersRequest, orders::GetTopCustomersResponse>,
    pub(crate) get_order_values: Method<orders::GetOrderValuesRequest, orders::GetOrderValuesResponse>,
}

#[derive(Clone)]
struct Fake(Arc<Neighbours>);

macro_rules! unary {
    ($method:ident, $request:ty, $response:ty) => {
        fn $method<'a, 'b>(&'a self, request: Request<$request>) -> BoxFuture<'b, Result<Response<$response>, Status>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move { self.0.$method.handle(request).await })
        }
    };
}

/// Answers with a stream that stays open after its messages, as long as the caller does.
macro_rules! served {
    ($method:ident, $stream:ident, $request:ty, $response:ty) => {
        type $stream = BoxStream<'static, Result<$response, Status>>;

        fn $method<'a, 'b>(&'a self, request: Request<$request>) -> BoxFuture<'b, Result<Response<Self::$stream>, Status>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move {
                let messages = self.0.$method.handle(request).await?.into_inner();
                let messages = futures::stream::iter(messages.into_iter().map(Ok));
                let stays_open = stringify!($method) == "stream_events";
                Ok(Response::new(if stays_open { messages.chain(futures::stream::pending()).boxed() } else { messages.boxed() }))
            })
        }
    };
}

/// Answers once all messages have come.
macro_rules! sent {
    ($method:ident, $request:ty, $response:ty) => {
        fn $method<'a, 'b>(&'a self, request: Request<Streaming<$request>>) -> BoxFuture<'b, Result<Response<$response>, Status>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move {
                let (metadata, extensions, mut stream) = request.into_parts();
                let mut messages = Vec::new();
                while let Some(message) = stream.message().await? {
                    messages.push(message);
                }
                self.0.$method.handle(Request::from_parts(metadata, extensions, messages)).await
            })
        }
    };
}

impl auth::auth_service_server::AuthService for Fake {
    unary!(register, auth::RegisterRequest, auth::RegisterResponse);
    unary!(login, auth::LoginRequest, auth::LoginResponse);
    unary!(logout, auth::LogoutRequest, auth::LogoutResponse);
    unary!(validate_token, auth::ValidateTokenRequest, auth::ValidateTokenResponse);
    unary!(refresh_token, auth::RefreshTokenRequest, auth::RefreshTokenResponse);
    served!(stream_events, StreamEventsStream, auth::StreamEventsRequest, auth::StreamEventsResponse);
}

impl auth::user_service_server::UserService for Fake {
    unary!(get_user, auth::GetUserRequest, auth::GetUserResponse);
    served!(list_users, ListUsersStream, auth::ListUsersRequest, auth::ListUsersResponse);
    sent!(create_users, auth::CreateUsersRequest, auth::CreateUsersResponse);
    unary!(update_user, auth::UpdateUserRequest, auth::UpdateUserResponse);
    unary!(delete_user, auth::DeleteUserRequest, auth::DeleteUserResponse);
    sent!(set_avatar, auth::SetAvatarRequest, auth::SetAvatarResponse);
    served!(get_avatar, GetAvatarStream, auth::GetAvatarRequest, auth::GetAvatarResponse);
    type ChatStream = BoxStream<'static, Result<auth::ChatResponse, Status>>;

    fn chat<'a, 'b>(&'a self, _: Request<Streaming<auth::ChatRequest>>) -> BoxFuture<'b, Result<Response<Self::ChatStream>, Status>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(ready(Err(Status::unimplemented("the gateway does not chat"))))
    }
}

impl auth::session_service_server::SessionService for Fake {
    unary!(get_session, auth::GetSessionRequest, auth::GetSessionResponse);
    unary!(delete_session, auth::DeleteSessionRequest, auth::DeleteSessionResponse);
}

impl catalog::product_service_server::ProductService for Fake {
    unary!(get_product, catalog::GetProductRequest, catalog::GetProductResponse);
    unary!(batch_get_products, catalog::BatchGetProductsRequest, catalog::BatchGetProductsResponse);
    unary!(list_products, catalog::ListProductsRequest, catalog::ListProductsResponse);
    served!(search_products, SearchProductsStream, catalog::SearchProductsRequest, catalog::SearchProductsResponse);
    unary!(create_product, catalog::CreateProductRequest, catalog::CreateProductResponse);
    unary!(update_product, catalog::UpdateProductRequest, catalog::UpdateProductResponse);
    unary!(delete_product, catalog::DeleteProductRequest, catalog::DeleteProductResponse);
}

impl catalog::post_service_server::PostService for Fake {
    unary!(list_posts, catalog::ListPostsRequest, catalog::ListPostsResponse);
    unary!(get_post, catalog::GetPostRequest, catalog::GetPostResponse);
    unary!(create_post, catalog::CreatePostRequest, catalog::CreatePostResponse);
    unary!(update_post, catalog::UpdatePostRequest, catalog::UpdatePostResponse);
    unary!(delete_post, catalog::DeletePostRequest, catalog::DeletePostResponse);
    unary!(create_comment, catalog::CreateCommentRequest, catalog::CreateCommentResponse);
}

impl catalog::rate_limit_service_server::RateLimitService for Fake {
    unary!(check_rate_limit, catalog::CheckRateLimitRequest, catalog::CheckRateLimitResponse);
}

impl catalog::leaderboard_service_server::LeaderboardService for Fake {
    unary!(get_leaderboard, catalog::GetLeaderboardRequest, catalog::GetLeaderboardResponse);
}

impl orders::order_service_server::OrderService for Fake {
    unary!(place_order, orders::PlaceOrderRequest, orders::PlaceOrderResponse);
    unary!(get_order, orders::GetOrderRequest, orders::GetOrderResponse);
    unary!(list_orders, orders::ListOrdersRequest, orders::ListOrdersResponse);
    unary!(update_order_status, orders::UpdateOrderStatusRequest, orders::UpdateOrderStatusResponse);
    unary!(cancel_order, orders::CancelOrderRequest, orders::CancelOrderResponse);
    unary!(get_order_stats, orders::GetOrderStatsRequest, orders::GetOrderStatsResponse);
}

impl orders::customer_service_server::CustomerService for Fake {
    unary!(create_customer, orders::CreateCustomerRequest, orders::CreateCustomerResponse);
    unary!(get_customer, orders::GetCustomerRequest, orders::GetCustomerResponse);
    unary!(list_customers, orders::ListCustomersRequest, orders::ListCustomersResponse);
}

impl orders::stock_service_server::StockService for Fake {
    unary!(get_stock, orders::GetStockRequest, orders::GetStockResponse);
    unary!(set_stock, orders::SetStockRequest, orders::SetStockResponse);
}

impl orders::report_service_server::ReportService for Fake {
    unary!(get_revenue_by_day, orders::GetRevenueByDayRequest, orders::GetRevenueByDayResponse);
    unary!(get_top_customers, orders::GetTopCustomersRequest, orders::GetTopCustomersResponse);
    unary!(get_order_values, orders::GetOrderValuesRequest, orders::GetOrderValuesResponse);
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
            Name::Auth => Routes::new(auth::auth_service_server::AuthServiceServer::new(fake.clone()))
                .add_service(auth::user_service_server::UserServiceServer::new(fake.clone()))
                .add_service(auth::session_service_server::SessionServiceServer::new(fake)),
            Name::CatalogCache => Routes::new(catalog::product_service_server::ProductServiceServer::new(fake.clone()))
                .add_service(catalog::post_service_server::PostServiceServer::new(fake.clone()))
                .add_service(catalog::rate_limit_service_server::RateLimitServiceServer::new(fake.clone()))
                .add_service(catalog::leaderboard_service_server::LeaderboardServiceServer::new(fake)),
            Name::Orders => Routes::new(orders::order_service_server::OrderServiceServer::new(fake.clone()))
                .add_service(orders::customer_service_server::CustomerServiceServer::new(fake.clone()))
                .add_service(orders::stock_service_server::StockServiceServer::new(fake.clone()))
                .add_service(orders::report_service_server::ReportServiceServer::new(fake)),
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
