//! What each upstream says of itself.

use std::time::Duration;

use chassis::grpc::Channel;
use futures::future::join3;
use serde::Serialize;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use utoipa::ToSchema;

use super::Calls;

impl Calls {
    /// Asks all of them at the same time.
    pub(crate) async fn health(&self) -> Health {
        let [auth, catalog, orders] = &self.clients.channels;
        let (auth, catalog_cache, orders) = join3(check(auth), check(catalog), check(orders)).await;
        let upstreams = Upstreams { auth, catalog_cache, orders };
        let all_serve = [auth, catalog_cache, orders].iter().all(|state| *state == State::Serving);
        Health { status: if all_serve { "ok" } else { "degraded" }, upstreams }
    }
}

/// `GET /health`
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` where all upstreams serve, else `degraded`.
    status: &'static str,
    upstreams: Upstreams,
}

#[derive(Serialize, ToSchema)]
struct Upstreams {
    auth: State,
    #[serde(rename = "catalog-cache")]
    catalog_cache: State,
    orders: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Serving,
    NotServing,
    Unreachable,
}

/// grpc.health.v1, of the server as a whole.
async fn check(channel: &Channel) -> State {
    const LIMIT: Duration = Duration::from_secs(1);
    let mut client = HealthClient::new(channel.clone());
    let message = HealthCheckRequest { service: String::new() };
    match chassis::grpc::within(LIMIT, message, |request| async move { client.check(request).await }).await {
        Ok(answer) if answer.status() == ServingStatus::Serving => State::Serving,
        Ok(_) => State::NotServing,
        Err(_) => State::Unreachable,
    }
}
