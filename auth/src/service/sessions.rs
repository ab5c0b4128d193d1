//! `throughline.auth.v1.SessionService`

use std::sync::Arc;

use proto::auth::{
    DeleteSessionRequest, DeleteSessionResponse, GetSessionRequest, GetSessionResponse, session_service_server::SessionService,
};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use super::Auth;
use crate::{
    error::AuthError,
    lifetime::EndReason,
    session::Session,
    user::{read_id, timestamp},
};

/// One per serving runtime.
pub(crate) struct SessionApi(pub(crate) Arc<Auth>);

impl SessionApi {
    /// A session that is the caller's business.
    async fn find(&self, metadata: &MetadataMap, session_id: &str) -> Result<(Uuid, Session), AuthError> {
        let caller = self.0.caller(metadata).await?;
        let session_id = read_id("session_id", session_id)?;
        let session = self.0.sessions.find(session_id).await?.filter(|session| caller.may_see(session.user_id));
        Ok((session_id, session.ok_or(AuthError::NotFound("session"))?))
    }
}

#[tonic::async_trait]
impl SessionService for SessionApi {
    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<GetSessionResponse>, Status> {
        let (session_id, session) = self.find(request.metadata(), &request.get_ref().session_id).await?;
        let expires_at = self.0.sessions.expires_at(session_id).await?.ok_or(AuthError::NotFound("session"))?;
        let session = proto::auth::Session {
            session_id: session_id.to_string(),
            user_id: session.user_id.to_string(),
            created_at: Some(timestamp(session.created_at)),
            expires_at: Some(timestamp(expires_at)),
        };
        Ok(Response::new(GetSessionResponse { session: Some(session) }))
    }

    async fn delete_session(&self, request: Request<DeleteSessionRequest>) -> Result<Response<DeleteSessionResponse>, Status> {
        let (session_id, session) = self.find(request.metadata(), &request.get_ref().session_id).await?;
        if self.0.end_session(session_id, session.user_id, EndReason::Revoked).await? {
            Ok(Response::new(DeleteSessionResponse {}))
        } else {
            Err(AuthError::NotFound("session").into())
        }
    }
}
