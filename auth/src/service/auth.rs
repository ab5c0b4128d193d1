//! `throughline.auth.v1.AuthService`

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use proto::auth::{
    LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest,
    RegisterResponse, StreamEventsRequest, StreamEventsResponse, ValidateTokenRequest, ValidateTokenResponse,
    auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use super::Auth;
use crate::{
    error::AuthError,
    lifetime::EndReason,
    subscription::{Filter, Subscription},
    throttle::Attempt,
    user::{Registration, normalised, timestamp},
    vigil,
};

/// How long a first listener waits until the events are followed.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// One per serving runtime.
pub(crate) struct AuthApi(pub(crate) Arc<Auth>);

#[tonic::async_trait]
impl AuthService for AuthApi {
    type StreamEventsStream = BoxStream<'static, Result<StreamEventsResponse, Status>>;

    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let registration = Registration::new(request.into_inner())?;
        let user = self.0.create_user(registration).await?;
        Ok(Response::new(RegisterResponse { user: Some(user.into()) }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let request = request.into_inner();
        let attempt = Attempt::new(normalised(&request.email), &request.client_address)?;
        let opened = self.0.login(&attempt, request.password).await?;
        Ok(Response::new(LoginResponse {
            access_token: self.0.shared.tokens.issue(&opened.user, opened.session_id)?,
            user: Some(opened.user.into()),
            refresh_token: opened.refresh_token.text,
            expires_in: self.0.shared.tokens.lifetime.as_secs(),
            session_id: opened.session_id.to_string(),
        }))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let claims = self.0.shared.verified.check(&request.into_inner().access_token).await?;
        self.0.end_session(claims.sid, claims.sub, EndReason::Logout).await?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        let claims = self.0.believe(&request.into_inner().access_token).await?;
        Ok(Response::new(ValidateTokenResponse {
            expires_at: Some(timestamp(claims.expires_at())),
            user_id: claims.sub.to_string(),
            session_id: claims.sid.to_string(),
            username: claims.username,
            email: claims.email,
            role: claims.role.as_str().to_owned(),
        }))
    }

    async fn refresh_token(&self, request: Request<RefreshTokenRequest>) -> Result<Response<RefreshTokenResponse>, Status> {
        let opened = self.0.refresh(&request.into_inner().refresh_token).await?;
        Ok(Response::new(RefreshTokenResponse {
            access_token: self.0.shared.tokens.issue(&opened.user, opened.session_id)?,
            user: Some(opened.user.into()),
            refresh_token: opened.refresh_token.text,
            expires_in: self.0.shared.tokens.lifetime.as_secs(),
            session_id: opened.session_id.to_string(),
        }))
    }

    async fn stream_events(&self, request: Request<StreamEventsRequest>) -> Result<Response<Self::StreamEventsStream>, Status> {
        let caller = self.0.caller(request.metadata()).await?;
        let filter = Filter::new(request.get_ref(), &caller)?;
        let events = self.0.shared.tail.listen(PATIENCE).await.map_err(AuthError::from)?;
        let end = Box::pin(vigil::end_of(&self.0, &caller));
        let subscription = Subscription { caller, filter, events, sessions: self.0.sessions.clone(), end };
        Ok(Response::new(subscription.into_stream().boxed()))
    }
}
