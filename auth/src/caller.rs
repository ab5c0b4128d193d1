//! Who calls, by the token in the metadata, and what that one may do.

use chrono::{DateTime, Utc};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::{error::AuthError, token::Claims, user::Role};

/// Somebody whose token is good and whose session is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) username: String,
    role: Role,
    /// When the token expires.
    pub(crate) expires_at: DateTime<Utc>,
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        let expires_at = claims.expires_at();
        Self { user_id: claims.sub, session_id: claims.sid, username: claims.username, role: claims.role, expires_at }
    }
}

impl Caller {
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    pub(crate) fn require_admin(&self) -> Result<(), AuthError> {
        if self.is_admin() { Ok(()) } else { Err(AuthError::AdminRequired) }
    }

    /// Whether what is a user's alone is shown to it.
    pub(crate) fn may_see(&self, user_id: Uuid) -> bool {
        self.is_admin() || self.user_id == user_id
    }

    pub(crate) fn may_change(&self, user_id: Uuid) -> Result<(), AuthError> {
        if self.may_see(user_id) { Ok(()) } else { Err(AuthError::NotYours) }
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750); the scheme in whatever case (RFC 9110).
pub(crate) fn bearer(metadata: &MetadataMap) -> Result<&str, AuthError> {
    let text = metadata.get("authorization").ok_or(AuthError::TokenMissing)?.to_str().map_err(|_| AuthError::TokenInvalid)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(AuthError::TokenMissing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        let (user_id, session_id) = (Uuid::from_u128(1), Uuid::nil());
        Caller { user_id, session_id, username: "ada".into(), role, expires_at: Utc::now() }
    }

    #[test]
    fn admins_may_everything_and_users_their_own() {
        let (own, foreign) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (user, admin) = (caller(Role::User), caller(Role::Admin));
        assert!(matches!(user.require_admin(), Err(AuthError::AdminRequired)));
        assert!(matches!(user.may_change(foreign), Err(AuthError::NotYours)));
        assert!(user.may_change(own).is_ok() && user.may_see(own) && !user.may_see(foreign));
        assert!(admin.require_admin().is_ok() && admin.may_change(foreign).is_ok() && admin.may_see(foreign) && admin.may_see(own));
    }

    #[test]
    fn a_token_is_found_behind_its_scheme_only() {
        let metadata = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", text.parse().unwrap());
            metadata
        };
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c "] {
            assert_eq!(bearer(&metadata(good)).unwrap(), "a.b.c");
        }
        for missing in [metadata(""), metadata("a.b.c"), metadata("Basic a.b.c"), MetadataMap::new()] {
            assert!(matches!(bearer(&missing), Err(AuthError::TokenMissing)));
        }
    }
}
