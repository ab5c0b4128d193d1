//! `auth`: who is calling. Accounts in Postgres (schema `auth`), sessions in Redis, events through an outbox.

mod config;
mod error;
mod metrics;
mod password;
mod service;
mod session;
mod store;
mod token;
mod user;

use std::net::{SocketAddr, TcpListener};

use chassis::{Process, StartError, grpc, listen, redis::Redis};
use db::pool::Pool;
use events::relay::Relay;
use proto::auth::auth_service_server::{AuthServiceServer, SERVICE_NAME};
use tonic::service::Routes;

pub use config::{Config, JwtConfig, PasswordConfig, SessionConfig};
use metrics::{Counted, Visits};
use password::Passwords;
use service::Auth;
use session::Sessions;
use token::Tokens;

/// Name of the service, of its Postgres schema and of its connections.
const NAME: &str = "auth";

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
        let (pool, redis) = (Pool::new(&config.database, NAME, &process)?, Redis::new(&config.redis, NAME, &process)?);
        let relay = Relay::start(&config.relay, &config.kafka, pool.clone(), NAME, &process)?;
        process.readiness.require("postgres", move || {
            let pool = pool.clone();
            async move { pool.ping().await.map_err(|error| error.to_string()) }
        });
        process.readiness.require("redis", move || {
            let redis = redis.clone();
            async move { redis.ping().await.map_err(|error| error.to_string()) }
        });
        let passwords = Passwords::new(&config.password)?;
        let tokens = Tokens::new(&config.jwt);
        let visits = Visits::register(&mut process.registry());
        let owner = process.clone();
        let factory = move || {
            let (config, passwords, tokens, relay) = (config.clone(), passwords.clone(), tokens.clone(), relay.clone());
            let (visits, process) = (visits.clone(), owner.clone());
            async move {
                let pool = Pool::new(&config.database, NAME, &process)?;
                let sessions = Sessions::new(Redis::new(&config.redis, NAME, &process)?, &config.session);
                let service = Counted::new(Auth::new(pool, sessions, passwords, tokens, relay), visits);
                Ok(Routes::new(AuthServiceServer::new(service).max_decoding_message_size(grpc::MAX_MESSAGE)))
            }
        };
        grpc::serve(listener, &process, &[SERVICE_NAME], factory).await
    }
}
