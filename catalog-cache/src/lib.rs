//! `catalog-cache`: products, read from Redis and, where it has none, from the Postgres schema `catalog`, which is the
//! truth.
//!
//! A read's way: `service` (messages) → [`Catalog`](catalog::Catalog) → `cache` (one MGET) → for what is missing `flight`
//! (concurrent loads of one product are one) → `store` (one statement) → `cache` (one pipeline of SET).

mod cache;
mod catalog;
mod config;
mod error;
mod flight;
mod metrics;
mod product;
mod service;
mod store;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use chassis::{Process, StartError, grpc, listen, redis::Redis};
use db::pool::Pool;
use proto::catalog::product_service_server::{self, ProductServiceServer};
use tonic::service::Routes;

use cache::{Cache, Lookups, Reachable};
use catalog::Catalog;
pub use config::{CacheConfig, Config};
use flight::Flights;
use service::Products;

/// Name of the service and of its Postgres connections.
const NAME: &str = "catalog-cache";

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
        let (flights, reachable, lookups) = (Flights::default(), Arc::new(Reachable::default()), Arc::new(Lookups::default()));
        metrics::register(&mut process.registry(), Arc::clone(&lookups));
        let owner = process.clone();
        let factory = move || {
            let (config, flights, process) = (config.clone(), flights.clone(), owner.clone());
            let (reachable, lookups) = (Arc::clone(&reachable), Arc::clone(&lookups));
            async move {
                let cache = Cache::new(Redis::new(&config.redis, NAME, &process)?, &config.cache, reachable, lookups);
                let catalog = Catalog::new(Pool::new(&config.database, NAME, &process)?, cache, flights);
                Ok(Routes::new(ProductServiceServer::new(Products::new(catalog)).max_decoding_message_size(grpc::MAX_MESSAGE)))
            }
        };
        grpc::serve(listener, &process, &[product_service_server::SERVICE_NAME], factory).await
    }
}
