//! Access tokens: JWT (RFC 7519) signed with HS256.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    config::JwtConfig,
    error::AuthError,
    user::{Role, User},
};

/// What tells an access token from whatever else may be signed with the same key.
const ACCESS: &str = "access";

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The user's id.
    pub(crate) sub: Uuid,
    /// The session's id.
    pub(crate) sid: Uuid,
    pub(crate) jti: Uuid,
    pub(crate) typ: String,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) role: Role,
    /// Seconds since 1970.
    pub(crate) iat: i64,
    /// Seconds since 1970.
    pub(crate) exp: i64,
}

/// Signs and checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    header: Header,
    signing: EncodingKey,
    /// By `kid`: the one that signs, and those that did before it.
    checking: HashMap<String, DecodingKey>,
    validation: Validation,
    issuer: String,
    audience: String,
    pub(crate) lifetime: Duration,
}

impl Tokens {
    pub(crate) fn new(config: &JwtConfig) -> Self {
        let secret = config.secret.expose();
        let all = config.retired.iter().filter_map(JwtConfig::retired).chain([(config.kid.as_str(), secret)]);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            header: Header { kid: Some(config.kid.clone()), ..Header::new(Algorithm::HS256) },
            signing: EncodingKey::from_secret(secret.as_bytes()),
            checking: all.map(|(kid, secret)| (kid.to_owned(), DecodingKey::from_secret(secret.as_bytes()))).collect(),
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: Duration::from_secs(config.access_ttl_seconds),
        }
    }

    /// A token for a session of a user.
    pub(crate) fn issue(&self, user: &User, session_id: Uuid) -> Result<String, AuthError> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user.user_id,
            sid: session_id,
            jti: Uuid::now_v7(),
            typ: ACCESS.into(),
            username: user.username.clone(),
            email: user.email.clone(),
            role: user.role,
            iat: now,
            exp: now.saturating_add_unsigned(self.lifetime.as_secs()),
        };
        encode(&self.header, &claims, &self.signing).map_err(|error| AuthError::Internal(error.to_string()))
    }

    /// The claims of a good token.
    pub(crate) fn check(&self, token: &str) -> Result<Claims, AuthError> {
        let kid = decode_header(token).ok().and_then(|header| header.kid);
        let key = kid.and_then(|kid| self.checking.get(&kid)).ok_or(AuthError::TokenInvalid)?;
        let token = decode::<Claims>(token, key, &self.validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => AuthError::TokenExpired,
            _ => AuthError::TokenInvalid,
        })?;
        if token.claims.typ == ACCESS { token.claims.in_time() } else { Err(AuthError::TokenInvalid) }
    }
}

impl Claims {
    /// "On or after which" it must not be accepted (RFC 7519, section 4.1.4): the library lets that second pass.
    pub(crate) fn in_time(self) -> Result<Self, AuthError> {
        if self.exp > Utc::now().timestamp() { Ok(self) } else { Err(AuthError::TokenExpired) }
    }

    /// When the token expires.
    pub(crate) fn expires_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.exp, 0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::Secret;

    use super::*;
    use crate::config::Config;

    fn tokens(change: impl FnOnce(&mut JwtConfig)) -> Tokens {
        let mut config = JwtConfig { secret: Secret::new("0123456789abcdef0123456789abcdef"), ..Config::default().jwt };
        change(&mut config);
        Tokens::new(&config)
    }

    fn issued(tokens: &Tokens) -> String {
        let user = User {
            user_id: Uuid::nil(),
            username: "ada".into(),
            email: "a@b.c".into(),
            role: Role::User,
            version: 1,
            created_at: Utc::now(),
        };
        tokens.issue(&user, Uuid::max()).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_issuer_audience_key_and_purpose_only() {
        let ours = tokens(|_| ());
        let token = issued(&ours);
        assert_eq!(ours.check(&token).unwrap().sid, Uuid::max());
        for other in [
            tokens(|config| config.secret = Secret::new("another secret of thirty-two bytes")),
            tokens(|config| config.issuer = "somebody".into()),
            tokens(|config| config.audience = "somebody".into()),
            tokens(|config| config.kid = "2".into()),
        ] {
            assert!(matches!(other.check(&token), Err(AuthError::TokenInvalid)));
        }
        let mut claims = ours.check(&token).unwrap();
        claims.typ = "refresh".into();
        let refresh = encode(&ours.header, &claims, &ours.signing).unwrap();
        assert!(matches!(ours.check(&refresh), Err(AuthError::TokenInvalid)));
        claims.typ = ACCESS.into();
        claims.exp = claims.iat - 1;
        let old = encode(&ours.header, &claims, &ours.signing).unwrap();
        assert!(matches!(ours.check(&old), Err(AuthError::TokenExpired)));
    }

    #[test]
    fn a_retired_key_checks_and_signs_no_more_and_an_unknown_one_does_not_check() {
        let token = issued(&tokens(|_| ()));
        let renewed = |retired: &[&str]| {
            tokens(|config| {
                config.kid = "2".into();
                config.secret = Secret::new("a new secret of thirty-two bytes");
                config.retired = retired.iter().copied().map(Secret::new).collect();
            })
        };
        let rotated = renewed(&["1=0123456789abcdef0123456789abcdef"]);
        rotated.check(&token).unwrap();
        assert_eq!(decode_header(issued(&rotated)).unwrap().kid.as_deref(), Some("2"));
        rotated.check(&issued(&rotated)).unwrap();
        for other in [renewed(&[]), renewed(&["1=another secret of thirty-two bytes"]), renewed(&["0=0123456789abcdef0123456789abcdef"])] {
            assert!(matches!(other.check(&token), Err(AuthError::TokenInvalid)));
        }
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        let token = issued(&tokens(|_| ()));
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        assert!(matches!(tokens(|_| ()).check(&unsigned), Err(AuthError::TokenInvalid)));
    }
}
