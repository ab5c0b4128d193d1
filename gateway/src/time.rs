//! Moments, as the API writes and reads them: RFC 3339, UTC.

use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{error::Error, field::Field};

/// What a service said, as RFC 3339 in microseconds; a fault of `service` where it is missing or outside the calendar.
pub(crate) fn moment(at: Option<Timestamp>, service: &'static str, what: &'static str) -> Result<String, Error> {
    at.and_then(|at| text(&at)).ok_or(Error::BrokenAnswer { service, what })
}

fn text(at: &Timestamp) -> Option<String> {
    let at = DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A moment that a client names.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-01T00:00:00Z")]
pub(crate) struct Moment(DateTime<Utc>);

impl Field for Moment {
    const ALLOWED: &'static str = "must be a date and time as in 2026-11-01T00:00:00Z (RFC 3339)";

    fn read(value: &Value) -> Option<Self> {
        let years = 1970..=9999;
        let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc();
        years.contains(&chrono::Datelike::year(&at)).then_some(Self(at))
    }
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Self {
        Self { seconds: moment.0.timestamp(), nanos: i32::try_from(moment.0.timestamp_subsec_nanos()).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_utc() {
        assert_eq!(text(&Timestamp { seconds: 0, nanos: 1_000 }).as_deref(), Some("1970-01-01T00:00:00.000001Z"));
        assert_eq!(text(&Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(text(&Timestamp { seconds: 0, nanos: -1 }), None);
    }

    #[test]
    fn what_is_read_may_be_of_any_zone_and_of_a_sane_year() {
        let read = |text: &str| Moment::read(&Value::from(text)).map(|moment| Timestamp::from(moment).seconds);
        assert_eq!(read("1970-01-01T01:00:00+01:00"), Some(0));
        for text in ["", "2026-11-01", "2026-11-01T00:00:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
