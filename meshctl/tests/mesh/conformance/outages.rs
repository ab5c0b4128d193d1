//! With a dependency gone: UNAVAILABLE, soon, and when to try again. And all is well when it is back.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt, join_all};
use proto::{
    auth::{GetUserRequest, ListUsersRequest, LoginRequest, ValidateTokenRequest},
    catalog::{CheckRateLimitRequest, GetLeaderboardRequest, ListPostsRequest, ListProductsRequest, SearchProductsRequest},
    orders::{GetOrderRequest, GetOrderStatsRequest, GetStockRequest, GetTopCustomersRequest, ListCustomersRequest, ListOrdersRequest},
};
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{
    verdicts::{Says::Retry, Verdicts},
    world::World,
};
use crate::running::eventually;

/// What a caller waits at most.
const LIMIT: Duration = Duration::from_secs(2);

type Call<'a> = (&'static str, BoxFuture<'a, Result<(), Status>>);

/// A row of the tables below.
fn row<'a, T>(name: &'static str, call: impl Future<Output = Result<Response<T>, Status>> + Send + 'a) -> Call<'a> {
    (name, call.map(|answer| answer.map(drop)).boxed())
}

pub(super) async fn without_postgres(world: &World, verdicts: &mut Verdicts) {
    let (email, password) = world.mesh.demo();
    let id = Uuid::now_v7().to_string();
    let user = GetUserRequest { user_id: world.demo.user_id.clone() };
    let order = GetOrderRequest { order_id: id.clone(), ..GetOrderRequest::default() };
    let (mut accounts, mut users, mut lists) = (world.accounts(), world.users(), world.users());
    let (mut products, mut search, mut posts, mut stock) = (world.products(), world.products(), world.posts(), world.stock());
    let (mut orders, mut order_lists, mut stats, mut customers) = (world.orders(), world.orders(), world.orders(), world.customers());
    let mut reports = world.reports();
    let calls = vec![
        row("Login", accounts.login(LoginRequest { email, password, client_address: String::new() })),
        row("GetUser", users.get_user(world.demo.asks(user))),
        row("ListUsers", async { first(lists.list_users(world.admin.asks(ListUsersRequest::default())).await).await }),
        row("ListProducts", products.list_products(ListProductsRequest::default())),
        row("SearchProducts", search.search_products(SearchProductsRequest { query: "tea".into(), limit: 1 })),
        row("ListPosts", posts.list_posts(ListPostsRequest::default())),
        row("GetOrder", orders.get_order(order)),
        row("ListOrders", order_lists.list_orders(ListOrdersRequest::default())),
        row("GetOrderStats", stats.get_order_stats(GetOrderStatsRequest::default())),
        row("GetTopCustomers", reports.get_top_customers(GetTopCustomersRequest::default())),
        row("ListCustomers", customers.list_customers(ListCustomersRequest::default())),
        row("GetStock", stock.get_stock(GetStockRequest { product_id: id })),
    ];
    refused(world, "postgres", calls, verdicts).await;
    recovered(|| async { world.products().list_products(ListProductsRequest::default()).await.map(drop) }).await;
    recovered(|| async { world.orders().list_orders(ListOrdersRequest::default()).await.map(drop) }).await;
    let user_id = &world.demo.user_id;
    recovered(|| async { world.users().get_user(world.demo.asks(GetUserRequest { user_id: user_id.clone() })).await.map(drop) }).await;
}

pub(super) async fn without_redis(world: &World, verdicts: &mut Verdicts) {
    let user = GetUserRequest { user_id: world.demo.user_id.clone() };
    let token = || ValidateTokenRequest { access_token: world.demo.token.clone() };
    let (mut accounts, mut users, mut limits, mut board) = (world.accounts(), world.users(), world.limits(), world.leaderboard());
    let calls = vec![
        row("ValidateToken", accounts.validate_token(token())),
        row("GetUser", users.get_user(world.demo.asks(user))),
        row("CheckRateLimit", limits.check_rate_limit(CheckRateLimitRequest { key: "a".into(), limit: 1, window_seconds: 1 })),
        row("GetLeaderboard", board.get_leaderboard(GetLeaderboardRequest::default())),
    ];
    refused(world, "redis", calls, verdicts).await;
    recovered(|| async { world.accounts().validate_token(token()).await.map(drop) }).await;
    recovered(|| async { world.leaderboard().get_leaderboard(GetLeaderboardRequest::default()).await.map(drop) }).await;
}

/// Calls all at once while `process` is there but silent.
async fn refused(world: &World, process: &str, calls: Vec<Call<'_>>, verdicts: &mut Verdicts) {
    world.mesh.signal(process, "STOP");
    let timed = calls.into_iter().map(|(name, call)| async move {
        let begun = Instant::now();
        (name, call.await, begun.elapsed())
    });
    let answers = join_all(timed).await;
    world.mesh.signal(process, "CONT");
    for (name, answer, took) in answers {
        verdicts.expect(&format!("{name} without {process}"), (Code::Unavailable, Retry), answer.map(Response::new));
        assert!(took < LIMIT, "{name} without {process} took {took:?}");
    }
}

/// On the same connections.
async fn recovered<F: Future<Output = Result<(), Status>>>(call: impl Fn() -> F) {
    eventually(|| async { call().await.map_err(|status| status.to_string()) }).await;
}

/// The first message of a stream.
async fn first<T>(answer: Result<Response<tonic::Streaming<T>>, Status>) -> Result<Response<Option<T>>, Status> {
    answer?.into_inner().message().await.map(Response::new)
}
