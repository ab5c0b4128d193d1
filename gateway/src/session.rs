//! Sessions as things that can be looked at and ended.

use proto::auth::GetSessionResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::Error, field::id_field, time::moment, upstream::AUTH};

id_field!(
    /// Which session.
    SessionId
);

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    #[schema(format = Uuid)]
    session_id: String,
    #[schema(format = Uuid)]
    user_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// Refreshing moves it, and so does use.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl TryFrom<GetSessionResponse> for Session {
    type Error = Error;

    fn try_from(answer: GetSessionResponse) -> Result<Self, Error> {
        let session = answer.session.ok_or(Error::BrokenAnswer { service: AUTH, what: "session" })?;
        Ok(Self {
            session_id: session.session_id,
            user_id: session.user_id,
            created_at: moment(session.created_at, AUTH, "session.created_at")?,
            expires_at: moment(session.expires_at, AUTH, "session.expires_at")?,
        })
    }
}
