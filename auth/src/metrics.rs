//! Who came, counted where answers leave the service, so that no handler knows of it.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use proto::auth::{
    LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, ValidateTokenRequest, ValidateTokenResponse,
    auth_service_server::AuthService,
};
use tonic::{Code, Request, Response, Status};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

const SUCCESS: Outcome = Outcome { result: "success" };
/// Address or password is wrong.
const REFUSED: Outcome = Outcome { result: "refused" };
/// Something that a login needs is away or broken.
const FAILED: Outcome = Outcome { result: "failed" };

/// The counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visits {
    registrations: Counter,
    logins: Family<Outcome, Counter>,
}

impl Visits {
    /// Counters that `/metrics` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let visits = Self::default();
        for outcome in [SUCCESS, REFUSED, FAILED] {
            drop(visits.logins.get_or_create(&outcome));
        }
        registry.register("throughline_auth_registrations", "Accounts made", visits.registrations.clone());
        registry.register("throughline_auth_logins", "Logins by how they ended", visits.logins.clone());
        visits
    }

    fn count_login(&self, result: Result<(), Code>) {
        let outcome = match result {
            Ok(()) => SUCCESS,
            Err(Code::Unauthenticated) => REFUSED,
            Err(_) => FAILED,
        };
        self.logins.get_or_create(&outcome).inc();
    }
}

/// A service around which its visits are counted.
pub(crate) struct Counted<S> {
    service: S,
    visits: Visits,
}

impl<S> Counted<S> {
    pub(crate) fn new(service: S, visits: Visits) -> Self {
        Self { service, visits }
    }
}

#[tonic::async_trait]
impl<S: AuthService> AuthService for Counted<S> {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let response = self.service.register(request).await?;
        self.visits.registrations.inc();
        Ok(response)
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let result = self.service.login(request).await;
        self.visits.count_login(result.as_ref().map(|_| ()).map_err(Status::code));
        result
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        self.service.validate_token(request).await
    }
}
