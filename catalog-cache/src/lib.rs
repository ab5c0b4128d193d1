//! `catalog-cache`: products, and posts with their comments, read from Redis and, where it has none, from the Postgres schema
//! `catalog`, which is the truth; the sliding-window limiter and the leaderboard, which live in Redis alone.
//!
//! A read's way: `service` (messages) → [`Catalog`](catalog::Catalog) → `near` (this process' own, where that is on) → `cache`
//! (one MGET) → for what is missing `flight` (concurrent loads of one id are one) → `fallback` (where Redis is away) → `store`
//! → `cache` (one pipeline of SET NX).
//! A write's way: `service` → `Catalog` → `store` (one statement) → `cache` (one script, which also tells other processes:
//! `change`); where that fails, `debt`.

mod cache;
mod catalog;
mod change;
mod config;
mod debt;
mod entry;
mod error;
mod fallback;
mod field;
mod flight;
mod leaderboard;
mod limiter;
mod metrics;
mod near;
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
    redis::{Breaker, Redis, subscription},
};
use db::pool::Pool;
use proto::catalog::{
    leaderboard_service_server::{self, LeaderboardServiceServer},
    post_service_server::{self, PostServiceServer},
    product_service_server::{self, ProductServiceServer},
    rate_limit_service_server::{self, RateLimitServiceServer},
};
use tonic::service::Routes;

use cache::Cache;
use catalog::{Catalog, Traffic};
use change::Listener;
pub use config::{CacheConfig, Config, LeaderboardConfig, LimiterConfig};
use debt::Debts;
use fallback::Fallback;
use leaderboard::Leaderboard;
use limiter::Limiter;
use metrics::tally::Outage;
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
        shared.show(&process);
        shared.listen(&config, &process)?;
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
    breaker: Breaker,
    products: Traffic<Product>,
    posts: Traffic<Thread>,
    redis_outage: Arc<Outage>,
    postgres_outage: Arc<Outage>,
}

impl Shared {
    fn new(config: &Config) -> Self {
        let (guard, cache) = (config.guard(), &config.cache);
        let kept = Duration::from_secs(cache.ttl_seconds.saturating_add(cache.stale_seconds));
        let debts = || Debts::new(guard, guard.saturating_add(kept));
        let fallback = Fallback::new(cache);
        Self {
            breaker: Breaker::new(&config.redis),
            products: Traffic::new(cache, debts(), fallback.clone()),
            posts: Traffic::new(cache, debts(), fallback),
            redis_outage: Arc::default(),
            postgres_outage: Arc::default(),
        }
    }

    fn show(&self, process: &Process) {
        let tallies = [("product", Arc::clone(self.products.tally())), ("post", Arc::clone(self.posts.tally()))];
        metrics::register(&mut process.registry(), tallies, self.breaker.clone());
    }

    /// Hears what others change, where this process keeps something itself.
    fn listen(&self, config: &Config, process: &Process) -> Result<(), StartError> {
        if config.cache.near_entries == 0 {
            return Ok(());
        }
        let listener = Listener::new(&config.cache, self.products.clone(), self.posts.clone());
        subscription::listen(&config.redis, listener.channels(), "changes of the catalogue", listener, process)
    }
}

/// All services, with the clients of one serving runtime.
fn routes(config: &Config, shared: Shared, process: &Process) -> Result<Routes, StartError> {
    let Shared { breaker, products, posts, redis_outage, postgres_outage } = shared;
    let pool = Pool::new(&config.database, NAME, process)?;
    let redis = Redis::behind(&breaker, &config.redis, NAME, process)?;
    let scenarios = process.scenarios.clone();
    let product_cache = Cache::new(redis.clone(), &config.cache, config.guard(), Arc::clone(&redis_outage), scenarios.clone());
    let post_cache = Cache::new(redis.clone(), &config.cache, config.guard(), redis_outage, scenarios.clone());
    let products = Catalog::new(pool.clone(), product_cache, products, scenarios.clone(), Arc::clone(&postgres_outage));
    let posts = Posts::new(Catalog::new(pool, post_cache, posts, scenarios.clone(), postgres_outage), scenarios);
    let limits = RateLimits::new(Limiter::new(redis.clone(), &config.limiter));
    let bestsellers = Bestsellers::new(Leaderboard::new(redis, &config.leaderboard), products.clone());
    Ok(Routes::new(ProductServiceServer::new(Products::new(products)).max_decoding_message_size(MAX_MESSAGE))
        .add_service(PostServiceServer::new(posts).max_decoding_message_size(MAX_MESSAGE))
        .add_service(RateLimitServiceServer::new(limits).max_decoding_message_size(MAX_MESSAGE))
        .add_service(LeaderboardServiceServer::new(bestsellers).max_decoding_message_size(MAX_MESSAGE)))
}
