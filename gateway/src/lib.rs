//! The only public door: REST over HTTP in, gRPC out. It authenticates, validates, and says in HTTP what went wrong. It
//! keeps no data.
//!
//! A request's way: [`routes::app`] (middleware and the table of routes) → extractors (`caller`, `body`, `query`, `page`) →
//! handler (`routes`) → `upstream` (all gRPC calls) → `error` (all mapping to HTTP) → `render`.

mod account;
mod avatar;
mod body;
mod caller;
mod conditional;
mod config;
mod customer;
mod diagnostics;
mod error;
mod events;
mod faults;
mod field;
mod leaderboard;
mod limits;
mod middleware;
mod order;
mod page;
mod post;
mod problem;
mod product;
mod query;
mod render;
mod report;
pub mod routes;
mod session;
mod stock;
mod time;
mod upstream;
mod user;
mod window;

use std::net::{SocketAddr, TcpListener};

use chassis::{Process, StartError};

pub use config::{Config, Cors, Diagnostics, Limits, Proxies, RateLimit, Upstream};

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
        let shared = routes::Shared::new(&self.config, &self.process);
        let config = self.config;
        chassis::http::serve(self.listener, &self.process, move || routes::app(&config, &shared)).await
    }
}
