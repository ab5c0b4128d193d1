//! Trace and span ids as numbers, as W3C Trace Context defines them.

use std::{fmt, str::FromStr};

/// A W3C trace id: 16 bytes, never all zero. Shown as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

impl TraceId {
    /// Reads the `trace_id` of an OTLP span; `None` unless it is 16 bytes which are not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }

    /// An id that nobody has used before.
    pub(crate) fn random() -> Self {
        Self(rand::random::<u128>().max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is no trace id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTraceId(String);

impl fmt::Display for InvalidTraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a trace id: expected 1 to 32 hexadecimal digits which are not all zero \
             (the value of the x-trace-id header)",
            self.0
        )
    }
}

impl std::error::Error for InvalidTraceId {}

impl FromStr for TraceId {
    type Err = InvalidTraceId;

    /// Reads up to 32 hex digits of either case; shorter ids are padded with zeros on the left.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(id) if digits && id != 0 => Ok(Self(id)),
            _ => Err(InvalidTraceId(text.chars().take(80).collect())),
        }
    }
}

/// The `span_id` of an OTLP span as a number; `None` unless it is 8 bytes which are not all zero.
pub(crate) fn span_id(bytes: &[u8]) -> Option<u64> {
    let id = u64::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_padded_and_case_does_not_matter() {
        let id: TraceId = "ABC".parse().unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000000abc");
        assert_eq!(id, id.to_string().parse().unwrap());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "0", "+1", "xyz", "12 ", &"f".repeat(33), &"0".repeat(32)] {
            assert!(text.parse::<TraceId>().is_err(), "{text:?}");
        }
        assert_eq!(TraceId::from_bytes(&[1; 15]), None);
        assert_eq!(TraceId::from_bytes(&[0; 16]), None);
        assert_eq!(span_id(&[0; 8]), None);
        assert_eq!(span_id(&[0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
    }
}
