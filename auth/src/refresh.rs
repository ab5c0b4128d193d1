//! Refresh tokens: opaque, and still known for ours without a look at what is stored, so that nobody can end a session by
//! guessing.
//!
//! base64url of the session's id (16 bytes), 32 random bytes, and the HMAC-SHA256 (32 bytes) of both under a key that is
//! derived from the secret of access tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{sign, verify},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{config::JwtConfig, error::AuthError};

/// What the key is derived with, so that it signs nothing else.
const PURPOSE: &[u8] = b"throughline refresh token";
const ID: usize = 16;
const BODY: usize = ID + 32;
const LENGTH: usize = BODY + 32;

/// Signs and checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RefreshTokens {
    signing: EncodingKey,
    /// The one that signs, and those that did before it.
    checking: Vec<DecodingKey>,
}

/// A refresh token, and what is kept of it. Has no `Debug`.
pub(crate) struct RefreshToken {
    pub(crate) text: String,
    /// base64url of its SHA-256: who reads Redis cannot refresh.
    pub(crate) digest: String,
}

impl RefreshToken {
    fn new(text: String) -> Self {
        Self { digest: URL_SAFE_NO_PAD.encode(Sha256::digest(&text)), text }
    }
}

impl RefreshTokens {
    pub(crate) fn new(config: &JwtConfig) -> Result<Self, AuthError> {
        let retired = config.retired.iter().filter_map(JwtConfig::retired).map(|(_, secret)| secret);
        let secrets = [config.secret.expose()].into_iter().chain(retired);
        let keys = secrets.map(derived).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            signing: EncodingKey::from_secret(keys.first().map(String::as_bytes).unwrap_or_default()),
            checking: keys.iter().map(|key| DecodingKey::from_secret(key.as_bytes())).collect(),
        })
    }

    /// A new one for a session.
    pub(crate) fn issue(&self, session_id: Uuid) -> Result<RefreshToken, AuthError> {
        let body = [session_id.as_bytes().as_slice(), &rand::random::<[u8; 32]>()].concat();
        let tag = sign(&body, &self.signing, Algorithm::HS256).map_err(internal)?;
        // 48 bytes are 64 letters without a rest: two texts in a row are the text of both
        Ok(RefreshToken::new(URL_SAFE_NO_PAD.encode(body) + &tag))
    }

    /// The session of one that we made, whether it is the current one or not.
    pub(crate) fn check(&self, text: &str) -> Result<(Uuid, RefreshToken), AuthError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == LENGTH).ok_or(AuthError::TokenInvalid)?;
        let (body, tag) = bytes.split_at(BODY);
        let tag = URL_SAFE_NO_PAD.encode(tag);
        let is_ours = |key| verify(&tag, body, key, Algorithm::HS256).unwrap_or(false);
        match Uuid::from_slice(&body[..ID]) {
            Ok(session_id) if self.checking.iter().any(is_ours) => Ok((session_id, RefreshToken::new(text.to_owned()))),
            _ => Err(AuthError::TokenInvalid),
        }
    }
}

fn derived(secret: &str) -> Result<String, AuthError> {
    sign(PURPOSE, &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256).map_err(internal)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn internal(error: jsonwebtoken::errors::Error) -> AuthError {
    AuthError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use chassis::config::Secret;

    use super::*;
    use crate::config::Config;

    const OLD: &str = "0123456789abcdef0123456789abcdef";

    fn tokens(secret: &str, retired: &[&str]) -> RefreshTokens {
        let retired = retired.iter().copied().map(Secret::new).collect();
        RefreshTokens::new(&JwtConfig { secret: Secret::new(secret), retired, ..Config::default().jwt }).unwrap()
    }

    #[test]
    fn a_token_names_its_session_and_is_never_the_same() {
        let (tokens, session) = (tokens(OLD, &[]), Uuid::now_v7());
        let (one, other) = (tokens.issue(session).unwrap(), tokens.issue(session).unwrap());
        assert_ne!(one.text, other.text);
        for token in [one, other] {
            let (found, read) = tokens.check(&token.text).unwrap();
            assert_eq!((found, read.digest), (session, token.digest));
        }
    }

    #[test]
    fn a_token_that_was_touched_anywhere_is_not_ours() {
        let tokens = tokens(OLD, &[]);
        let text = tokens.issue(Uuid::now_v7()).unwrap().text;
        let refused = |text: &str| assert!(matches!(tokens.check(text), Err(AuthError::TokenInvalid)), "{text}");
        for index in 0..text.len() {
            let mut touched = text.clone().into_bytes();
            touched[index] = if touched[index] == b'A' { b'B' } else { b'A' };
            refused(std::str::from_utf8(&touched).unwrap());
        }
        for text in ["", "x", &text[1..], &format!("{text}="), &format!("{text}A"), "a.b.c", "\0"] {
            refused(text);
        }
    }

    #[test]
    fn a_retired_key_still_checks_and_an_unknown_one_does_not() {
        const NEW: &str = "a new secret of thirty-two bytes";
        let token = tokens(OLD, &[]).issue(Uuid::nil()).unwrap();
        tokens(NEW, &[&format!("1={OLD}")]).check(&token.text).unwrap();
        assert!(matches!(tokens(NEW, &[]).check(&token.text), Err(AuthError::TokenInvalid)));
    }
}
