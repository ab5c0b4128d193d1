//! `throughline.auth.v1.AuthService`: from messages to the domain and back.

use chrono::Utc;
use db::pool::Pool;
use events::{contract::UserLoggedIn, outbox::OutboxRow, relay::RelayHandle};
use proto::auth::{
    LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, ValidateTokenRequest, ValidateTokenResponse,
    auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use crate::{
    error::AuthError,
    password::Passwords,
    session::{Opened, Sessions},
    store,
    token::Tokens,
    user::{Registration, User, is_email, normalised, timestamp},
};

/// One per serving runtime.
pub(crate) struct Auth {
    pool: Pool,
    sessions: Sessions,
    passwords: Passwords,
    tokens: Tokens,
    relay: RelayHandle,
}

impl Auth {
    pub(crate) fn new(pool: Pool, sessions: Sessions, passwords: Passwords, tokens: Tokens, relay: RelayHandle) -> Self {
        Self { pool, sessions, passwords, tokens, relay }
    }

    async fn create(&self, registration: Registration) -> Result<User, AuthError> {
        let hash = self.passwords.hash(registration.password.clone()).await?;
        let create = async {
            let mut connection = self.pool.get().await?;
            store::register(&mut connection, &registration, &hash).await
        };
        let user = self.pool.bounded(create).await?;
        self.relay.wake();
        Ok(user)
    }

    async fn authenticate(&self, request: LoginRequest) -> Result<User, AuthError> {
        let email = normalised(&request.email);
        let find = async {
            let mut connection = self.pool.get().await?;
            Ok::<_, AuthError>(store::find_by_email(&mut connection, &email).await?)
        };
        let found = if is_email(&email) { self.pool.bounded(find).await? } else { None };
        let (user, hash) = found.unzip();
        let right = self.passwords.verify(request.password, hash).await?;
        user.filter(|_| right).ok_or(AuthError::WrongCredentials)
    }

    /// Opens a session and tells of it. A session that nobody was told of is ended again.
    async fn open_session(&self, user: &User) -> Result<Opened, AuthError> {
        let opened = self.sessions.open(user.user_id).await?;
        let event = UserLoggedIn { user_id: user.user_id, session_id: opened.session_id, timestamp: Utc::now() };
        let row = OutboxRow::new(user.user_id, user.version, event)?;
        let tell = async {
            let mut connection = self.pool.get().await?;
            Ok::<_, AuthError>(store::add_event(&mut connection, &row).await?)
        };
        if let Err(error) = self.pool.bounded(tell).await {
            self.sessions.end(opened.session_id).await?;
            return Err(error);
        }
        self.relay.wake();
        Ok(opened)
    }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let registration = Registration::new(request.into_inner())?;
        let user = self.create(registration).await?;
        Ok(Response::new(RegisterResponse { user: Some(user.into()) }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let user = self.authenticate(request.into_inner()).await?;
        let Opened { session_id, refresh_token } = self.open_session(&user).await?;
        let access_token = self.tokens.issue(&user, session_id)?;
        let expires_in = self.tokens.lifetime.as_secs();
        Ok(Response::new(LoginResponse { user: Some(user.into()), access_token, refresh_token, expires_in }))
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        let claims = self.tokens.check(&request.into_inner().access_token)?;
        if !self.sessions.is_alive(claims.sid, claims.sub).await? {
            return Err(AuthError::SessionEnded.into());
        }
        Ok(Response::new(ValidateTokenResponse {
            expires_at: Some(timestamp(claims.expires_at())),
            user_id: claims.sub.to_string(),
            session_id: claims.sid.to_string(),
            username: claims.username,
            email: claims.email,
            role: claims.role,
        }))
    }
}
