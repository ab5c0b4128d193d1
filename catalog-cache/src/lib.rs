//! `catalog-cache`: products, and posts with their comments, read from Redis and, where it has none, from the Postgres schema
//! `catalog`, which is the truth; the sliding-window limiter and the leaderboard, which live in Redis alone.
//!
//! A read's way: `service` (messages) → [`Catalog`](catalog::Catalog) → `cache` (one MGET) → for what is missing `flight`
//! (concurrent loads of one id are one) → `store` → `cache` (one pipeline of SET NX).
//! A write's way: `service` → `Catalog` → `store` (one statement) → `cache` (one script); where that fails, `debt`.

mod cache;
mod catalog;
mod config;
mod debt;
mod error;
mod field;
mod flight;
mod leaderboard;
mod limiter;
mod metrics;
mod page;
mod post;
mod product;
mod service;
mod store;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use chassis::{
    Process, StartError,
    grpc::{self, MAX_MESSAGE},
    listen,
    redis::Redis,
};
use db::pool::Pool;
use proto::catalog::{
    leaderboard_service_server::{self, LeaderboardServiceServer},
    post_service_server::{self, PostServiceServer},
    product_service_server::{self, ProductServiceServer},
    rate_limit_service_server::{self, RateLimitServiceServer},
};
use tonic::service::Routes;

use cache::{Cache, Lookups};
use catalog::{Catalog, Traffic};
pub use config::{CacheConfig, Config, LeaderboardConfig, LimiterConfig};
use debt::Debts;
use leaderboard::Leaderboard;
use limiter::Limiter;
use post::Thread;
use product::Product;
use service::{Bestsellers, Posts, Products, RateLimits};

/// Name of the service and of its Postgres connections.
const NAME: &str = "catalog-cache";
const SERVICES: [&str; 4] = [
    product_service_server::SERVICE_NAME,
    post_service_server::SERVICE_NAME,
    rate_limit_service_server::SERVICE_NAME,
    leaderboard_service_server::SERVICE_NAME,
];

/// The service, bound to its port and not yet serving.
pub struct App {
    config: Config,
    process: Process,
    listener: TcpListener,
    address: SocketAddr,
}

impl App {
    /// Binds `server.address`; port 0 takes a free one.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn build(config: Config, process: Process) -> Result<Self, StartError> {
        let listener = listen("server.address", config.server.address)?;
        let address = listener.local_addr()?;
        Ok(Self { config, process, listener, address })
    }

    /// Where gRPC is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process stops, then drains. Ready while Postgres is: Redis may be away.
    ///
    /// # Errors
    /// Where a client's settings are refused.
    pub async fn run(self) -> Result<(), StartError> {
        let Self { config, process, listener, .. } = self;
        let pool = Pool::new(&config.database, NAME, &process)?;
        process.readiness.require("postgres", move || {
            let pool = pool.clone();
            async move { pool.ping().await.map_err(|error| error.to_string()) }
        });
        let shared = Shared::new(&config);
        metrics::register(&mut process.registry(), Arc::clone(&shared.lookups));
        let owner = process.clone();
        let factory = move || {
            let (config, shared, process) = (config.clone(), shared.clone(), owner.clone());
            async move { routes(&config, shared, &process) }
        };
        grpc::serve(listener, &process, &SERVICES, factory).await
    }
}

/// What all runtimes of the process share.
#[derive(Clone)]
struct Shared {
    lookups: Arc<Lookups>,
    products: Traffic<Product>,
    posts: Traffic<Thread>,
}

impl Shared {
    fn new(config: &Config) -> Self {
        let guard = config.guard();
        let debts = || Debts::new(guard, guard.saturating_add(Duration::from_secs(config.cache.ttl_seconds)));
        Self { lookups: Arc::default(), products: Traffic::new(debts()), posts: Traffic::new(debts()) }
    }
}

/// All services, with the clients of one serving runtime.
fn routes(config: &Config, Shared { lookups, products, posts }: Shared, process: &Process) -> Result<Routes, StartError> {
    let (pool, redis) = (Pool::new(&config.database, NAME, process)?, Redis::new(&config.redis, NAME, process)?);
    let product_cache = Cache::new(redis.clone(), &config.cache, config.guard(), Arc::clone(&lookups));
    let post_cache = Cache::new(redis.clone(), &config.cache, config.guard(), lookups);
    let products = Catalog::new(pool.clone(), product_cache, products);
    let posts = Posts::new(Catalog::new(pool, post_cache, posts));
    let limits = RateLimits::new(Limiter::new(redis.clone(), &config.limiter));
    let bestsellers = Bestsellers::new(Leaderboard::new(redis, &config.leaderboard), products.clone());
    Ok(Routes::new(ProductServiceServer::new(Products::new(products)).max_decoding_message_size(MAX_MESSAGE))
        .add_service(PostServiceServer::new(posts).max_decoding_message_size(MAX_MESSAGE))
        .add_service(RateLimitServiceServer::new(limits).max_decoding_message_size(MAX_MESSAGE))
        .add_service(LeaderboardServiceServer::new(bestsellers).max_decoding_message_size(MAX_MESSAGE)))
}
