//! Who came, counted where answers leave the service, so that no handler knows of it.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use proto::auth::{
    LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest,
    RegisterResponse, StreamEventsRequest, ValidateTokenRequest, ValidateTokenResponse, auth_service_server::AuthService,
};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

const SUCCESS: Outcome = Outcome { result: "success" };
/// What was shown is wrong: address or password, or the token.
const REFUSED: Outcome = Outcome { result: "refused" };
/// Not checked, after too many failures.
const THROTTLED: Outcome = Outcome { result: "throttled" };
/// A token that was used before: its session has been ended.
const REUSED: Outcome = Outcome { result: "reused" };
/// Something that is needed is away or broken.
const FAILED: Outcome = Outcome { result: "failed" };

/// The counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visits {
    registrations: Counter,
    logins: Family<Outcome, Counter>,
    refreshes: Family<Outcome, Counter>,
    logouts: Counter,
}

impl Visits {
    /// Counters that `/metrics` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let visits = Self::default();
        for outcome in [SUCCESS, REFUSED, THROTTLED, FAILED] {
            drop(visits.logins.get_or_create(&outcome));
        }
        for outcome in [SUCCESS, REFUSED, REUSED, FAILED] {
            drop(visits.refreshes.get_or_create(&outcome));
        }
        registry.register("throughline_auth_registrations", "Accounts made", visits.registrations.clone());
        registry.register("throughline_auth_logins", "Logins by how they ended", visits.logins.clone());
        registry.register("throughline_auth_refreshes", "Exchanges of refresh tokens by how they ended", visits.refreshes.clone());
        registry.register("throughline_auth_logouts", "Logouts, repeated ones too", visits.logouts.clone());
        visits
    }

    fn count_login<T>(&self, result: &Result<T, Status>) {
        let outcome = match result.as_ref().map_err(Status::code) {
            Ok(_) => SUCCESS,
            Err(Code::Unauthenticated) => REFUSED,
            Err(Code::ResourceExhausted) => THROTTLED,
            Err(_) => FAILED,
        };
        self.logins.get_or_create(&outcome).inc();
    }

    fn count_refresh<T>(&self, result: &Result<T, Status>) {
        let is_reused = |status: &Status| status.get_details_error_info().is_some_and(|info| info.reason == "TOKEN_REUSED");
        let outcome = match result {
            Ok(_) => SUCCESS,
            Err(status) if is_reused(status) => REUSED,
            Err(status) if status.code() == Code::Unauthenticated => REFUSED,
            Err(_) => FAILED,
        };
        self.refreshes.get_or_create(&outcome).inc();
    }
}

/// Tokens that were believed though nobody could say whether their session was alive. Clones share the counter.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedTokens(Counter);

impl TrustedTokens {
    /// A counter that `/metrics` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let trusted = Self::default();
        registry.register("throughline_auth_trusted_tokens", "Tokens believed while sessions could not be checked", trusted.0.clone());
        trusted
    }

    pub(crate) fn count(&self) {
        self.0.inc();
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
    type StreamEventsStream = S::StreamEventsStream;

    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let response = self.service.register(request).await?;
        self.visits.registrations.inc();
        Ok(response)
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let result = self.service.login(request).await;
        self.visits.count_login(&result);
        result
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let response = self.service.logout(request).await?;
        self.visits.logouts.inc();
        Ok(response)
    }

    async fn refresh_token(&self, request: Request<RefreshTokenRequest>) -> Result<Response<RefreshTokenResponse>, Status> {
        let result = self.service.refresh_token(request).await;
        self.visits.count_refresh(&result);
        result
    }

    async fn stream_events(&self, request: Request<StreamEventsRequest>) -> Result<Response<Self::StreamEventsStream>, Status> {
        self.service.stream_events(request).await
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        self.service.validate_token(request).await
    }
}
