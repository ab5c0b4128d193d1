//! Which good tokens are believed: those whose session is alive, and, where `session.when_unavailable` says so, for the time being
//! those of which Redis cannot say that.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{config::WhenUnavailable, error::AuthError, metrics::TrustedTokens, token::Claims, user::Role};

/// Clones share whether Redis is away.
#[derive(Clone)]
pub(crate) struct Trust {
    mode: WhenUnavailable,
    is_blind: Arc<AtomicBool>,
    trusted: TrustedTokens,
}

impl Trust {
    pub(crate) fn new(mode: WhenUnavailable, trusted: TrustedTokens) -> Self {
        Self { mode, is_blind: Arc::default(), trusted }
    }

    /// Judges the claims of a good token by what was found out about its session. Admins are not believed unseen: others do by
    /// this answer alone what only admins may.
    pub(crate) fn judge(&self, claims: Claims, is_alive: Result<bool, AuthError>) -> Result<Claims, AuthError> {
        match is_alive {
            Ok(is_alive) => {
                if self.turns(false) {
                    tracing::info!("sessions are checked again");
                }
                if is_alive { Ok(claims) } else { Err(AuthError::SessionEnded) }
            }
            Err(AuthError::Unavailable(cause)) if self.mode == WhenUnavailable::TrustToken && claims.role != Role::Admin => {
                if self.turns(true) {
                    tracing::warn!(cause, "sessions cannot be checked: tokens are trusted until they expire");
                }
                self.trusted.count();
                Ok(claims)
            }
            Err(error) => Err(error),
        }
    }

    /// True for the first who sees the change. Others only read.
    fn turns(&self, is_blind: bool) -> bool {
        self.is_blind.load(Ordering::Relaxed) != is_blind && self.is_blind.swap(is_blind, Ordering::Relaxed) != is_blind
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn claims(role: Role) -> Claims {
        let text = String::new;
        let (sub, sid, jti) = (Uuid::nil(), Uuid::nil(), Uuid::nil());
        Claims { iss: text(), aud: text(), sub, sid, jti, typ: text(), username: text(), email: text(), role, iat: 0, exp: 0 }
    }

    fn away() -> Result<bool, AuthError> {
        Err(AuthError::Unavailable("redis".into()))
    }

    #[test]
    fn only_users_are_believed_unseen_and_only_where_that_is_wanted() {
        let trust = |mode| Trust::new(mode, TrustedTokens::default());
        for (mode, role, is_alive, expected) in [
            (WhenUnavailable::Refuse, Role::User, Ok(true), "good"),
            (WhenUnavailable::Refuse, Role::User, away(), "away"),
            (WhenUnavailable::TrustToken, Role::User, away(), "good"),
            (WhenUnavailable::TrustToken, Role::Admin, away(), "away"),
            (WhenUnavailable::TrustToken, Role::Admin, Ok(true), "good"),
            (WhenUnavailable::TrustToken, Role::User, Ok(false), "ended"),
            (WhenUnavailable::TrustToken, Role::User, Err(AuthError::Internal(String::new())), "broken"),
        ] {
            let judged = match trust(mode).judge(claims(role), is_alive) {
                Ok(_) => "good",
                Err(AuthError::Unavailable(_)) => "away",
                Err(AuthError::SessionEnded) => "ended",
                Err(_) => "broken",
            };
            assert_eq!(judged, expected, "{mode:?} {role:?}");
        }
    }

    #[test]
    fn a_change_is_told_once() {
        let trust = Trust::new(WhenUnavailable::TrustToken, TrustedTokens::default());
        let turns = [false, true, true, false, false, true].map(|is_blind| trust.clone().turns(is_blind));
        assert_eq!(turns, [false, true, false, true, false, true]);
    }
}
