//! How long sessions live, and why they end before that. No input or output.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{config::SessionConfig, session::Session};

/// A use lets a session live on where that adds at least this part of its lifetime: so that few uses write.
const WORTH_A_WRITE: i32 = 10;

/// Why a session was ended, as `auth.sessions` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// By its access token.
    Logout,
    /// By its id: by its user from another session, or by an admin.
    Revoked,
    /// Its refresh token came back.
    RefreshReused,
    PasswordChanged,
    RoleChanged,
    UserDeleted,
}

impl EndReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::RefreshReused => "refresh_reused",
            Self::PasswordChanged => "password_changed",
            Self::RoleChanged => "role_changed",
            Self::UserDeleted => "user_deleted",
        }
    }
}

/// What `session.*` says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// How long a session lives that nobody uses.
    idle: TimeDelta,
    /// How long a session lives whatever is done.
    most: Option<TimeDelta>,
    is_sliding: bool,
}

impl Lifetime {
    pub(crate) fn new(config: &SessionConfig) -> Self {
        let seconds = |seconds| i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
        let most = (config.max_lifetime_seconds > 0).then(|| seconds(config.max_lifetime_seconds));
        Self { idle: seconds(config.ttl_seconds), most, is_sliding: config.sliding }
    }

    /// When a session ends if nobody uses it any more.
    pub(crate) fn end(&self, session: &Session) -> DateTime<Utc> {
        let idle = after(session.prolonged_at, self.idle);
        self.most.map_or(idle, |most| idle.min(after(session.created_at, most)))
    }

    /// Whether its time is over, though Redis may still have it: where the settings allow less than they did.
    pub(crate) fn is_over(&self, session: &Session, now: DateTime<Utc>) -> bool {
        self.end(session) <= now
    }

    /// Whether a use lets it live on.
    pub(crate) fn is_due(&self, session: &Session, now: DateTime<Utc>) -> bool {
        let prolonged = Session { prolonged_at: now, ..*session };
        self.is_sliding && self.end(&prolonged) - self.end(session) >= self.idle / WORTH_A_WRITE
    }

    /// Seconds from now to an end, at least one.
    pub(crate) fn seconds_to(end: DateTime<Utc>) -> i64 {
        ((end - Utc::now()).num_milliseconds().max(1) - 1) / 1_000 + 1
    }
}

fn after(moment: DateTime<Utc>, length: TimeDelta) -> DateTime<Utc> {
    moment.checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::Config;

    fn lifetime(ttl_seconds: u64, max_lifetime_seconds: u64, sliding: bool) -> Lifetime {
        Lifetime::new(&SessionConfig { ttl_seconds, sliding, max_lifetime_seconds, ..Config::default().session })
    }

    /// A session that was opened, and prolonged, so many seconds after 1970.
    fn session(created_at: i64, prolonged_at: i64) -> Session {
        Session { user_id: Uuid::nil(), created_at: at(created_at), prolonged_at: at(prolonged_at) }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_the_latest_when_its_life_is_over() {
        let sliding = lifetime(100, 250, true);
        for (created, prolonged, end) in [(0, 0, 100), (0, 90, 190), (0, 150, 250), (0, 249, 250), (1_000, 1_010, 1_110)] {
            assert_eq!(sliding.end(&session(created, prolonged)), at(end), "{created} {prolonged}");
        }
        assert!(!sliding.is_over(&session(0, 240), at(249)) && sliding.is_over(&session(0, 240), at(250)));
        let endless = lifetime(100, 0, true);
        assert!(!endless.is_over(&session(0, 5_000), at(5_099)) && endless.is_over(&session(0, 5_000), at(5_100)));
    }

    #[test]
    fn a_use_writes_where_it_adds_a_tenth_of_the_lifetime() {
        let sliding = lifetime(100, 250, true);
        for (prolonged, now, is_due) in [
            (0, 9, false),
            (0, 10, true),
            (0, 99, true),
            (140, 150, true),
            // what is left is less than a tenth
            (145, 200, false),
            (150, 249, false),
        ] {
            assert_eq!(sliding.is_due(&session(0, prolonged), at(now)), is_due, "{prolonged} {now}");
        }
        assert!(!lifetime(100, 250, false).is_due(&session(0, 0), at(99)));
    }

    #[test]
    fn seconds_are_rounded_up_so_that_nothing_lives_without_end() {
        for (milliseconds, seconds) in [(-5_000, 1), (0, 1), (900, 1), (1_900, 2), (99_900, 100)] {
            assert_eq!(Lifetime::seconds_to(Utc::now() + TimeDelta::milliseconds(milliseconds)), seconds, "{milliseconds}");
        }
    }

    #[test]
    fn the_longest_settings_are_no_panic() {
        let longest = lifetime(u64::MAX, u64::MAX, true);
        assert_eq!(longest.end(&session(0, 0)), DateTime::<Utc>::MAX_UTC);
        assert!(!longest.is_due(&session(0, 0), at(1)));
    }
}
