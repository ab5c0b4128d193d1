//! The methods that are called, one line each: a unary call within the request's time, or a stream. What only reads may be asked
//! again where a service is away for a moment; what changes something may not.

use std::time::Duration;

use proto::{auth, catalog, orders};
use tonic::Streaming;

use super::{AUTH, CATALOG_CACHE, Calls, ORDERS, failed};
use crate::error::Error;

macro_rules! changes {
    ($($client:ident at $service:ident { $($method:ident($request:path) -> $response:path;)+ })+) => {
        impl Calls {
            $($(
                pub(crate) async fn $method(&self, message: $request) -> Result<$response, Error> {
                    let mut client = self.clients.$client.clone();
                    self.call($service, message, |request| async move { client.$method(request).await }).await
                }
            )+)+
        }
    };
}

macro_rules! reads {
    ($($client:ident at $service:ident { $($method:ident($request:path) -> $response:path;)+ })+) => {
        impl Calls {
            $($(
                pub(crate) async fn $method(&self, message: $request) -> Result<$response, Error> {
                    let client = &self.clients.$client;
                    let send = |request| {
                        let mut client = client.clone();
                        async move { client.$method(request).await }
                    };
                    self.read($service, message, send).await
                }
            )+)+
        }
    };
}

changes! {
    auth at AUTH {
        register(auth::RegisterRequest) -> auth::RegisterResponse;
        login(auth::LoginRequest) -> auth::LoginResponse;
        logout(auth::LogoutRequest) -> auth::LogoutResponse;
        refresh_token(auth::RefreshTokenRequest) -> auth::RefreshTokenResponse;
    }
    users at AUTH {
        update_user(auth::UpdateUserRequest) -> auth::UpdateUserResponse;
        delete_user(auth::DeleteUserRequest) -> auth::DeleteUserResponse;
    }
    sessions at AUTH {
        delete_session(auth::DeleteSessionRequest) -> auth::DeleteSessionResponse;
    }
    products at CATALOG_CACHE {
        create_product(catalog::CreateProductRequest) -> catalog::CreateProductResponse;
        update_product(catalog::UpdateProductRequest) -> catalog::UpdateProductResponse;
        delete_product(catalog::DeleteProductRequest) -> catalog::DeleteProductResponse;
    }
    posts at CATALOG_CACHE {
        create_post(catalog::CreatePostRequest) -> catalog::CreatePostResponse;
        update_post(catalog::UpdatePostRequest) -> catalog::UpdatePostResponse;
        delete_post(catalog::DeletePostRequest) -> catalog::DeletePostResponse;
        create_comment(catalog::CreateCommentRequest) -> catalog::CreateCommentResponse;
    }
    rate_limits at CATALOG_CACHE {
        check_rate_limit(catalog::CheckRateLimitRequest) -> catalog::CheckRateLimitResponse;
    }
    orders at ORDERS {
        place_order(orders::PlaceOrderRequest) -> orders::PlaceOrderResponse;
        update_order_status(orders::UpdateOrderStatusRequest) -> orders::UpdateOrderStatusResponse;
        cancel_order(orders::CancelOrderRequest) -> orders::CancelOrderResponse;
    }
    customers at ORDERS {
        create_customer(orders::CreateCustomerRequest) -> orders::CreateCustomerResponse;
    }
    stock at ORDERS {
        set_stock(orders::SetStockRequest) -> orders::SetStockResponse;
    }
}

reads! {
    auth at AUTH {
        validate_token(auth::ValidateTokenRequest) -> auth::ValidateTokenResponse;
    }
    users at AUTH {
        get_user(auth::GetUserRequest) -> auth::GetUserResponse;
    }
    sessions at AUTH {
        get_session(auth::GetSessionRequest) -> auth::GetSessionResponse;
    }
    products at CATALOG_CACHE {
        get_product(catalog::GetProductRequest) -> catalog::GetProductResponse;
        batch_get_products(catalog::BatchGetProductsRequest) -> catalog::BatchGetProductsResponse;
        list_products(catalog::ListProductsRequest) -> catalog::ListProductsResponse;
    }
    posts at CATALOG_CACHE {
        list_posts(catalog::ListPostsRequest) -> catalog::ListPostsResponse;
        get_post(catalog::GetPostRequest) -> catalog::GetPostResponse;
    }
    leaderboard at CATALOG_CACHE {
        get_leaderboard(catalog::GetLeaderboardRequest) -> catalog::GetLeaderboardResponse;
    }
    orders at ORDERS {
        get_order(orders::GetOrderRequest) -> orders::GetOrderResponse;
        list_orders(orders::ListOrdersRequest) -> orders::ListOrdersResponse;
        get_order_stats(orders::GetOrderStatsRequest) -> orders::GetOrderStatsResponse;
    }
    customers at ORDERS {
        get_customer(orders::GetCustomerRequest) -> orders::GetCustomerResponse;
        list_customers(orders::ListCustomersRequest) -> orders::ListCustomersResponse;
    }
    stock at ORDERS {
        get_stock(orders::GetStockRequest) -> orders::GetStockResponse;
    }
    reports at ORDERS {
        get_revenue_by_day(orders::GetRevenueByDayRequest) -> orders::GetRevenueByDayResponse;
        get_top_customers(orders::GetTopCustomersRequest) -> orders::GetTopCustomersResponse;
        get_order_values(orders::GetOrderValuesRequest) -> orders::GetOrderValuesResponse;
    }
}

impl Calls {
    pub(crate) async fn list_users(&self, message: auth::ListUsersRequest) -> Result<Streaming<auth::ListUsersResponse>, Error> {
        let mut client = self.clients.users.clone();
        self.call(AUTH, message, |request| async move { client.list_users(request).await }).await
    }

    /// A stream that lasts as long as the caller takes to read it: only its beginning has a limit.
    pub(crate) async fn get_avatar(&self, message: auth::GetAvatarRequest) -> Result<Streaming<auth::GetAvatarResponse>, Error> {
        let mut client = self.clients.users.clone();
        let request = self.with_credentials(AUTH, tonic::Request::new(message));
        self.begun(AUTH, client.get_avatar(request)).await
    }

    pub(crate) async fn search_products(
        &self,
        message: catalog::SearchProductsRequest,
    ) -> Result<Streaming<catalog::SearchProductsResponse>, Error> {
        let mut client = self.clients.products.clone();
        self.call(CATALOG_CACHE, message, |request| async move { client.search_products(request).await }).await
    }

    pub(crate) async fn create_users(
        &self,
        users: impl futures::Stream<Item = auth::CreateUsersRequest> + Send + 'static,
    ) -> Result<auth::CreateUsersResponse, Error> {
        let mut client = self.clients.users.clone();
        self.call(AUTH, users, |request| async move { client.create_users(request).await }).await
    }

    /// Sends parts as they come. The caller's upload may be slower than a call may be: `limit` bounds it.
    pub(crate) async fn set_avatar(
        &self,
        limit: Duration,
        parts: impl futures::Stream<Item = auth::SetAvatarRequest> + Send + 'static,
    ) -> Result<auth::SetAvatarResponse, Error> {
        let mut client = self.clients.users.clone();
        let send = |request| {
            let request = self.with_credentials(AUTH, request);
            async move { client.set_avatar(request).await }
        };
        chassis::grpc::within(limit, parts, send).await.map_err(|status| failed(AUTH, status))
    }

    /// An endless stream: only its beginning has a limit.
    pub(crate) async fn stream_events(&self, message: auth::StreamEventsRequest) -> Result<Streaming<auth::StreamEventsResponse>, Error> {
        let mut client = self.clients.auth.clone();
        let request = self.with_credentials(AUTH, tonic::Request::new(message));
        self.begun(AUTH, client.stream_events(request)).await
    }

    async fn begun<T>(
        &self,
        service: &'static str,
        call: impl Future<Output = Result<tonic::Response<Streaming<T>>, tonic::Status>>,
    ) -> Result<Streaming<T>, Error> {
        let within = async |left| {
            let answer = tokio::time::timeout(left, call).await;
            let answer = answer.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("the stream did not begin")));
            answer.map(tonic::Response::into_inner)
        };
        self.timed(service, within).await
    }
}
