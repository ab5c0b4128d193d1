//! Fields of requests, checked one after the other: all that are wrong are told at once.

use chassis::status::Violation;
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use uuid::Uuid;

use crate::error::OrderError;

/// Characters of a name or an e-mail address; RFC 3696 counts to 320.
const MAX_NAME: usize = 320;
/// What a protobuf timestamp may say, in seconds: the years 1 to 9999.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What was wrong so far. A field that is wrong gets a value that is never used.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    wrong: Vec<Violation>,
}

impl Fields {
    /// `field` is wrong; `allowed` says what it may be.
    pub(crate) fn refuse(&mut self, field: impl Into<String>, allowed: impl Into<String>) {
        self.wrong.push(Violation::new(field, allowed));
    }

    pub(crate) fn uuid(&mut self, field: &str, text: &str) -> Uuid {
        text.parse().unwrap_or_else(|_| {
            self.refuse(field, "must be a UUID");
            Uuid::nil()
        })
    }

    /// None where it is empty.
    pub(crate) fn optional_uuid(&mut self, field: &str, text: &str) -> Option<Uuid> {
        if text.is_empty() { None } else { Some(self.uuid(field, text)) }
    }

    /// What a person or an address is called: text that Postgres can hold, and a mail can show.
    pub(crate) fn name(&mut self, field: &str, text: &str) {
        if !(1..=MAX_NAME).contains(&text.chars().count()) || text.contains(char::is_control) {
            self.refuse(field, format!("must be 1 to {MAX_NAME} characters without control characters"));
        }
    }

    pub(crate) fn moment(&mut self, field: &str, given: Option<Timestamp>) -> Option<DateTime<Utc>> {
        let given = given?;
        let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000 && MOMENTS.contains(&given.seconds));
        let moment = nanos.and_then(|nanos| DateTime::from_timestamp(given.seconds, nanos));
        if moment.is_none() {
            self.refuse(field, "must be a moment of the years 1 to 9999, with 0 to 999,999,999 nanoseconds");
        }
        moment
    }

    /// # Errors
    /// `Invalid` with every field that was refused.
    pub(crate) fn all_right(self) -> Result<(), OrderError> {
        if self.wrong.is_empty() { Ok(()) } else { Err(OrderError::Invalid(self.wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_that_protobuf_allows() {
        let is_one = |seconds, nanos| Fields::default().moment("at", Some(Timestamp { seconds, nanos })).is_some();
        for (seconds, nanos) in [(*MOMENTS.start(), 0), (*MOMENTS.end(), 999_999_999), (-1, 1)] {
            assert!(is_one(seconds, nanos), "{seconds} {nanos}");
        }
        for (seconds, nanos) in
            [(MOMENTS.start() - 1, 0), (MOMENTS.end() + 1, 0), (0, -1), (0, 1_000_000_000), (59, i32::MAX), (i64::MIN, 0), (i64::MAX, 0)]
        {
            assert!(!is_one(seconds, nanos), "{seconds} {nanos}");
        }
    }

    #[test]
    fn names_are_short_and_hold_no_control_characters() {
        let is_one = |text: &str| {
            let mut fields = Fields::default();
            fields.name("name", text);
            fields.all_right().is_ok()
        };
        assert!(is_one("a") && is_one(&"ä".repeat(MAX_NAME)) && is_one("Ada Lovelace"));
        assert!(!is_one("") && !is_one(&"ä".repeat(MAX_NAME + 1)) && !is_one("a\0") && !is_one("a\nb"));
    }
}
