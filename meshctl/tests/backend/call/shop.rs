//! A server with services of its own: who logs in gets a token, and a session is shown to whoever shows that.

use std::net::SocketAddr;

use futures::stream::Empty;
use proto::auth::{
    DeleteSessionRequest, DeleteSessionResponse, GetSessionRequest, GetSessionResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest, RegisterResponse, Session, StreamEventsRequest,
    StreamEventsResponse, ValidateTokenRequest, ValidateTokenResponse,
    auth_service_server::{AuthService, AuthServiceServer},
    session_service_server::{SessionService, SessionServiceServer},
};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(super) const PASSWORD: &str = "a long enough password";
const TOKEN: &str = "Bearer the.right.token";

struct Shop;

#[tonic::async_trait]
impl AuthService for Shop {
    type StreamEventsStream = Empty<Result<StreamEventsResponse, Status>>;

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        if request.get_ref().password != PASSWORD {
            let details = ErrorDetails::with_error_info("WRONG_CREDENTIALS", "shop", std::collections::HashMap::<String, String>::new());
            return Err(Status::with_error_details(Code::Unauthenticated, "wrong", details));
        }
        Ok(Response::new(LoginResponse { access_token: "the.right.token".into(), ..LoginResponse::default() }))
    }

    async fn register(&self, _: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        std::future::pending().await
    }

    async fn validate_token(&self, _: Request<ValidateTokenRequest>) -> Result<Response<ValidateTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn refresh_token(&self, _: Request<RefreshTokenRequest>) -> Result<Response<RefreshTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn stream_events(&self, _: Request<StreamEventsRequest>) -> Result<Response<Self::StreamEventsStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl SessionService for Shop {
    /// The user's id tells which deadline came with the call.
    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<GetSessionResponse>, Status> {
        let text = |key: &str| request.metadata().get(key).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        if text("authorization") != TOKEN {
            return Err(Status::unauthenticated("who are you?"));
        }
        let (user_id, session_id) = (text("grpc-timeout"), request.into_inner().session_id);
        Ok(Response::new(GetSessionResponse { session: Some(Session { session_id, user_id, ..Session::default() }) }))
    }

    async fn delete_session(&self, _: Request<DeleteSessionRequest>) -> Result<Response<DeleteSessionResponse>, Status> {
        Ok(Response::new(DeleteSessionResponse {}))
    }
}

/// Lives as long as the test's runtime.
pub(super) async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .with_service_name("throughline.auth.v1.AuthService")
        .with_service_name("throughline.auth.v1.SessionService")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1()
        .unwrap();
    let routes =
        Server::builder().add_service(AuthServiceServer::new(Shop)).add_service(SessionServiceServer::new(Shop)).add_service(reflection);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { routes.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
    tasks.detach_all();
    address
}
