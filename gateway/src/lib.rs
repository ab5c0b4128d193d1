//! The only public door: REST over HTTP in, gRPC out. It authenticates, validates, and says in HTTP what went wrong. It
//! keeps no data.
//!
//! A request's way: [`routes::app`] (middleware and the table of routes) → extractors (`caller`, `body`, `page`) →
//! handler → `upstream` (all gRPC calls) → `error` (all mapping to HTTP).

mod account;
mod body;
mod caller;
mod conditional;
mod config;
mod error;
mod field;
mod middleware;
mod order;
mod page;
mod problem;
mod product;
pub mod routes;
mod upstream;

use std::net::{SocketAddr, TcpListener};

use chassis::{Process, StartError};

pub use config::{Config, Limits, Upstream};

/// The service, bound to its port.
pub struct App {
    config: Config,
    process: Process,
    listener: TcpListener,
    address: SocketAddr,
}

impl App {
    /// Binds `server.address`; port 0 takes a free one. Readiness asks for nothing: who serves can say what is wrong,
    /// and an upstream's absence must not take the door off its hinges.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn build(config: Config, process: Process) -> Result<Self, StartError> {
        let listener = chassis::listen("server.address", config.server.address)?;
        let address = listener.local_addr()?;
        Ok(Self { config, process, listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process stops, then drains.
    ///
    /// # Errors
    /// The operating system's, where a thread cannot be started.
    pub async fn run(self) -> Result<(), StartError> {
        tracing::info!(address = %self.address, "serving HTTP");
        let config = self.config;
        chassis::http::serve(self.listener, &self.process, move || routes::app(&config)).await
    }
}
