//! A gateway with its neighbours.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, Once, OnceLock},
    thread,
    time::Duration,
};

use chassis::Process;
use gateway::{App, Config};
use proto::auth::ValidateTokenResponse;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use telemetry::TelemetryConfig;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    answer::Answer,
    neighbours::{Name, Neighbours, Server},
};

pub(crate) const ADA: &str = "01939d4c-0000-7000-8000-00000000ada0";

/// The token that the faked auth service accepts.
pub(crate) const TOKEN: &str = "good.access.token";

pub(crate) struct World {
    pub(crate) neighbours: Arc<Neighbours>,
    servers: Vec<(Name, Server)>,
    pub(crate) url: String,
    pub(crate) process: Process,
    client: Client,
}

pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Gives up when production does.
pub(crate) fn hurried(config: &mut Config) {
    config.limits.call_timeout_ms = Config::default().limits.call_timeout_ms;
}

impl World {
    /// Everything up and well; the caller of [`TOKEN`] is [`ADA`].
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        observe();
        let neighbours = Arc::new(Neighbours::default());
        neighbours.validate_token.answers(|request| if request.access_token == TOKEN { Ok(ada()) } else { Err(refusal("TOKEN_INVALID")) });
        let servers: Vec<_> = [Name::Auth, Name::CatalogCache, Name::Orders]
            .map(|name| (name, Server::start(name, &neighbours, ANYWHERE)))
            .into_iter()
            .collect();
        let mut config = Config::default();
        config.server.address = ANYWHERE;
        let [auth, catalog_cache, orders] = [0, 1, 2].map(|index| format!("http://{}", servers[index].1.address));
        config.upstream = gateway::Upstream { auth, catalog_cache, orders };
        config.limits.call_timeout_ms = 30_000;
        config.diagnostics.enabled = true;
        change(&mut config);
        let process = Process::new(config.common.runtime, telemetry::Mode::default());
        let url = run(App::build(config, process.clone()).unwrap());
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        for (_, server) in &servers {
            server.report(ServingStatus::Serving).await;
        }
        Self { neighbours, servers, url, process, client }
    }

    pub(crate) fn server(&self, name: Name) -> &Server {
        &self.servers.iter().find(|(found, _)| *found == name).unwrap().1
    }

    /// Ends a neighbour at once, open connections included; answers with where it was.
    pub(crate) fn kill(&mut self, name: Name) -> SocketAddr {
        let address = self.server(name).address;
        self.servers.retain(|(found, _)| *found != name);
        address
    }

    pub(crate) fn revive(&mut self, name: Name, address: SocketAddr) {
        self.servers.push((name, Server::start(name, &self.neighbours, address)));
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path).bearer_auth(TOKEN)).await
    }

    /// Lets the caller of [`TOKEN`] be an admin.
    pub(crate) fn promote(&self) {
        self.neighbours.validate_token.answers(|_| Ok(ValidateTokenResponse { role: "admin".into(), ..ada() }));
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        send(self.request(method, path).bearer_auth(TOKEN).json(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request("POST", path).bearer_auth(TOKEN).json(body)).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.process.shutdown.cancel();
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// Runs the application on threads of its own and answers with its URL.
fn run(app: App) -> String {
    let url = format!("http://{}", app.address());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(app.run()).unwrap();
    });
    url
}

fn ada() -> ValidateTokenResponse {
    ValidateTokenResponse {
        user_id: ADA.into(),
        session_id: crate::accounts::SESSION.into(),
        username: "ada".into(),
        email: "ada@example.org".into(),
        role: "user".into(),
        expires_at: Some(prost_types::Timestamp { seconds: 60, nanos: 0 }),
    }
}

/// What auth says to a token that it does not accept.
pub(crate) fn refusal(reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "throughline", std::collections::HashMap::new());
    Status::with_error_details(Code::Unauthenticated, "no", details)
}

static LINES: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// The log lines about one request.
pub(crate) fn log_of(request_id: &str) -> Vec<Value> {
    LINES.lock().unwrap().iter().filter(|line| line["fields"]["request_id"] == request_id).cloned().collect()
}

struct Collector;

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().push(serde_json::from_slice(bytes)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts spans (exported to nowhere) and gathers log lines, once for the whole test process.
pub(crate) fn observe() {
    static ONCE: Once = Once::new();
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt().json().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).with_writer(|| Collector).init();
        let runtime = RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
        let _inside = runtime.enter();
        let config =
            TelemetryConfig { otlp_endpoint: "http://127.0.0.1:9".into(), export_interval_ms: 60_000, ..TelemetryConfig::default() };
        // forgotten on purpose: it lives as long as the process
        std::mem::forget(telemetry::start(&config, "gateway").unwrap());
    });
}
