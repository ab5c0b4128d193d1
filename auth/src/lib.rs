//! `auth`: who is calling. Accounts in Postgres (schema `auth`), sessions in Redis, events through an outbox.

mod account;
mod avatar;
mod bootstrap;
mod bulk;
mod caller;
mod chat;
mod config;
mod conversation;
mod error;
mod lifetime;
mod listing;
mod login;
mod metrics;
mod password;
mod refresh;
mod retention;
mod rooms;
mod service;
mod session;
mod store;
mod subscription;
mod throttle;
mod token;
mod trust;
mod upload;
mod user;
mod verified;
mod vigil;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use chassis::{Process, StartError, grpc, listen, redis::Redis};
use db::pool::Pool;
use events::{
    contract::UserCreated,
    envelope::Event,
    relay::{Relay, RelayHandle},
    tail::Tail,
};
use proto::auth::{
    auth_service_server::{self, AuthServiceServer},
    session_service_server::{self, SessionServiceServer},
    user_service_server::{self, UserServiceServer},
};
use tonic::service::Routes;

use bootstrap::Bootstrap;
pub use bootstrap::BootstrapConfig;
pub use config::{Config, JwtConfig, LoginConfig, PasswordConfig, SessionConfig, StreamConfig, WhenUnavailable};
use metrics::{Counted, TrustedTokens, Visits};
use password::Passwords;
use refresh::RefreshTokens;
use rooms::Rooms;
use service::{Auth, AuthApi, SessionApi, Shared, UserApi};
use token::Tokens;
use trust::Trust;
use verified::VerifiedTokens;

/// Name of the service, of its Postgres schema and of its connections.
const NAME: &str = "auth";
/// What it serves.
const SERVICES: &[&str] = &[auth_service_server::SERVICE_NAME, user_service_server::SERVICE_NAME, session_service_server::SERVICE_NAME];
/// The calls that last.
const STREAMS: &[&str] = &["/throughline.auth.v1.AuthService/StreamEvents", "/throughline.auth.v1.UserService/Chat"];

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
        require(&process, pool.clone(), redis);
        let bootstrap = Bootstrap::required(&config.bootstrap, &process);
        let relay = Relay::start(&config.relay, &config.kafka, pool.clone(), NAME, &process)?;
        process.background(retention::run(pool, config.session.audit_retention_days, process.shutdown.clone()));
        let shared = shared(&config, relay, &process)?;
        if let Some(bootstrap) = bootstrap {
            process.background(bootstrap.run(Auth::new(&config, shared.clone(), &process)?));
        }
        let visits = Visits::register(&mut process.registry());
        let owner = process.clone();
        let factory = move || {
            let (config, shared, visits, process) = (config.clone(), shared.clone(), visits.clone(), owner.clone());
            async move { Ok(routes(&Auth::new(&config, shared, &process)?, visits)) }
        };
        grpc::serve(listener, &process, grpc::Services::new(SERVICES).with_streams(STREAMS), factory).await
    }
}

/// What must answer before the service is ready.
fn require(process: &Process, pool: Pool, redis: Redis) {
    process.readiness.require("postgres", move || {
        let pool = pool.clone();
        async move { pool.ping().await.map_err(|error| error.to_string()) }
    });
    process.readiness.require("redis", move || {
        let redis = redis.clone();
        async move { redis.ping().await.map_err(|error| error.to_string()) }
    });
}

fn shared(config: &Config, relay: RelayHandle, process: &Process) -> Result<Shared, StartError> {
    let tokens = Tokens::new(&config.jwt);
    Ok(Shared {
        passwords: Passwords::new(&config.password)?,
        verified: VerifiedTokens::new(tokens.clone()),
        trust: Trust::new(config.session.when_unavailable, TrustedTokens::register(&mut process.registry())),
        tokens,
        refresh_tokens: RefreshTokens::new(&config.jwt)?,
        relay,
        tail: Tail::start(&config.kafka, "auth-tail", UserCreated::TOPIC, config.stream.buffer, process),
        rooms: Rooms::start(&config.redis, &config.session.key_prefix, process)?,
        stream: config.stream.clone(),
        shutdown: process.shutdown.clone(),
    })
}

fn routes(auth: &Arc<Auth>, visits: Visits) -> Routes {
    let api = Counted::new(AuthApi(Arc::clone(auth)), visits);
    let mut routes = Routes::builder();
    routes
        .add_service(AuthServiceServer::new(api).max_decoding_message_size(grpc::MAX_MESSAGE))
        .add_service(UserServiceServer::new(UserApi(Arc::clone(auth))).max_decoding_message_size(grpc::MAX_MESSAGE))
        .add_service(SessionServiceServer::new(SessionApi(Arc::clone(auth))).max_decoding_message_size(grpc::MAX_MESSAGE));
    routes.routes()
}
