//! A span of time in which orders were placed.

use std::ops::Range;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use prost_types::Timestamp;
use uuid::Uuid;

use crate::field::Fields;

/// By how much the clock that an order's id was made with may differ from its `created_at`: far more than it ever does.
const MARGIN: TimeDelta = TimeDelta::minutes(10);

/// Both ends may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Period {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) before: Option<DateTime<Utc>>,
}

impl Period {
    /// Checks the `created_from` and the `created_before` of a request.
    pub(crate) fn new(from: Option<Timestamp>, before: Option<Timestamp>, fields: &mut Fields) -> Self {
        let (from, before) = (fields.moment("created_from", from), fields.moment("created_before", before));
        if let (Some(from), Some(before)) = (from, before)
            && from >= before
        {
            fields.refuse("created_from", "must be before created_before");
        }
        Self { from: from.map(whole_micros), before: before.map(whole_micros) }
    }

    /// Where the ids are of orders placed in this time, and of some others: `UUIDv7` begin with their time. The moments decide;
    /// this keeps the way to them short, whichever index is taken.
    pub(crate) fn ids(&self) -> Range<Uuid> {
        let start = self.from.map_or(Uuid::nil(), |from| first_id(from - MARGIN));
        let end = self.before.map_or(Uuid::max(), |before| first_id(before + MARGIN));
        start..end
    }
}

/// The next moment that the database can hold, so that a comparison with one that it holds comes out the same.
fn whole_micros(moment: DateTime<Utc>) -> DateTime<Utc> {
    let floor = moment.trunc_subsecs(6);
    if floor == moment { moment } else { floor + TimeDelta::microseconds(1) }
}

/// The lowest id that a moment can have: 48 bits of milliseconds since 1970 (RFC 9562).
fn first_id(moment: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::try_from(moment.timestamp_millis()).unwrap_or_default() << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    #[test]
    fn a_span_ends_after_it_begins() {
        for (from, before, good) in [(1, 2, true), (2, 2, false), (3, 2, false)] {
            let mut fields = Fields::default();
            Period::new(Some(at(from)), Some(at(before)), &mut fields);
            assert_eq!(fields.all_right().is_ok(), good, "{from} {before}");
        }
    }

    #[test]
    fn ids_made_within_a_span_are_in_its_range_and_those_of_other_days_are_not() {
        let (made, now, day) = (Uuid::now_v7(), Utc::now().timestamp(), 24 * 60 * 60);
        let holds = |from: Option<i64>, before: Option<i64>| {
            Period::new(from.map(at), before.map(at), &mut Fields::default()).ids().contains(&made)
        };
        assert!(holds(Some(now - 1), Some(now + 10)) && holds(None, None) && holds(Some(now - 1), None));
        assert!(!holds(Some(now + day), None) && !holds(None, Some(now - day)));
        assert!(!holds(None, Some(-62_135_596_800)), "long before 1970");
        assert!(holds(Some(-62_135_596_800), Some(253_402_300_799)), "all time");
    }

    #[test]
    fn moments_between_two_microseconds_are_the_later_one() {
        let nanos = |nanos| Some(Timestamp { seconds: 5, nanos });
        let period = Period::new(nanos(1_001), nanos(3_000), &mut Fields::default());
        assert_eq!(period.from.unwrap().timestamp_subsec_nanos(), 2_000);
        assert_eq!(period.before.unwrap().timestamp_subsec_nanos(), 3_000);
    }
}
