//! `orders`: customers, orders and stock, in the Postgres schema `orders`. Placing an order is one statement, each later change
//! of it one transaction; the event stands in the outbox with it, and the relay, which runs here too, publishes it.

mod attempt;
mod catalog;
mod config;
mod customer;
mod error;
mod field;
mod metrics;
mod order;
mod page;
mod period;
mod report;
mod service;
mod stats;
mod status;
mod stock;
mod store;
mod wish;

use std::net::{SocketAddr, TcpListener};

use chassis::{Process, StartError, grpc, listen};
use db::pool::Pool;
use events::relay::Relay;
use proto::orders::{
    customer_service_server::{self, CustomerServiceServer},
    order_service_server::{self, OrderServiceServer},
    report_service_server::{self, ReportServiceServer},
    stock_service_server::{self, StockServiceServer},
};
use tonic::service::Routes;

use catalog::Catalog;
pub use config::{Config, StatsConfig, UpstreamConfig};
use metrics::{Counted, Sales};
use report::{Reports, Turns};
use service::{Customers, Desk, Orders, Shelves};

/// What is served.
const SERVICES: [&str; 4] = [
    order_service_server::SERVICE_NAME,
    customer_service_server::SERVICE_NAME,
    stock_service_server::SERVICE_NAME,
    report_service_server::SERVICE_NAME,
];

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
        let (owner, turns) = (process.clone(), Turns::new(&config.stats));
        let factory = move || {
            let (config, relay, sales, turns, process) = (config.clone(), relay.clone(), sales.clone(), turns.clone(), owner.clone());
            async move {
                let pool = Pool::new(&config.database, NAME, &process)?;
                let catalog = Catalog::new(&config.upstream, &process)?;
                let reports = Reports::new(&config.stats, pool.clone(), turns);
                let orders = Orders::new(pool.clone(), catalog, reports.clone(), relay);
                Ok(routes(Counted::new(orders, sales), reports, pool))
            }
        };
        grpc::serve(listener, &process, &SERVICES, factory).await
    }
}

fn routes(orders: Counted<Orders>, reports: Reports, pool: Pool) -> Routes {
    let (customers, shelves) = (Customers::new(pool.clone()), Shelves::new(pool));
    let desk = Desk::new(reports);
    Routes::new(OrderServiceServer::new(orders).max_decoding_message_size(grpc::MAX_MESSAGE))
        .add_service(CustomerServiceServer::new(customers).max_decoding_message_size(grpc::MAX_MESSAGE))
        .add_service(StockServiceServer::new(shelves).max_decoding_message_size(grpc::MAX_MESSAGE))
        .add_service(ReportServiceServer::new(desk).max_decoding_message_size(grpc::MAX_MESSAGE))
}
