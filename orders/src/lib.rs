//! `orders`: customers, orders and stock, in the Postgres schema `orders`. Placing an order is one statement; the event
//! stands in the outbox with it, and the relay, which runs here too, publishes it.

mod catalog;
mod config;
mod error;
mod metrics;
mod order;
mod service;
mod store;

use std::net::{SocketAddr, TcpListener};

use chassis::{Process, StartError, grpc, listen};
use db::pool::Pool;
use events::relay::Relay;
use proto::orders::order_service_server::OrderServiceServer;
use tonic::service::Routes;

use catalog::Catalog;
pub use config::{Config, UpstreamConfig};
use metrics::{Counted, Sales};
use service::Orders;

/// Name of the service, of its Postgres schema and of its connections.
const NAME: &str = "orders";

/// The service, bound to its port and not yet serving.
pub struct App {
    config: Config,
    process: Process,
    listener: TcpListener,
}

impl App {
    /// Binds the port.
    ///
    /// # Errors
    /// Where the port cannot be had.
    pub fn build(config: Config, process: Process) -> Result<Self, StartError> {
        let listener = listen("server.address", config.server.address)?;
        Ok(Self { config, process, listener })
    }

    /// Where gRPC is served.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process stops.
    ///
    /// # Errors
    /// Where a client's settings are refused.
    pub async fn run(self) -> Result<(), StartError> {
        let Self { config, process, listener } = self;
        let pool = Pool::new(&config.database, NAME, &process)?;
        let relay = Relay::start(&config.relay, &config.kafka, pool.clone(), NAME, &process)?;
        process.readiness.require("postgres", move || {
            let pool = pool.clone();
            async move { pool.ping().await.map_err(|error| error.to_string()) }
        });
        let sales = Sales::register(&mut process.registry());
        let owner = process.clone();
        let factory = move || {
            let (config, relay, sales, process) = (config.clone(), relay.clone(), sales.clone(), owner.clone());
            async move {
                let pool = Pool::new(&config.database, NAME, &process)?;
                let catalog = Catalog::new(&config.upstream)?;
                let service = Counted::new(Orders::new(pool, catalog, relay), sales);
                Ok(Routes::new(OrderServiceServer::new(service).max_decoding_message_size(grpc::MAX_MESSAGE)))
            }
        };
        grpc::serve(listener, &process, &[proto::orders::order_service_server::SERVICE_NAME], factory).await
    }
}
