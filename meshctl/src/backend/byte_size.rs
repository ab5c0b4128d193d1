//! Amounts of memory as people write them: `268435456`, `64KiB`, `256MiB`, `1GiB`.

use std::{fmt, str::FromStr};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, factor) =
            UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor))).unwrap_or((text, 1));
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a number of bytes: expected a whole number, optionally with KiB, MiB or GiB"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_and_binary_units() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("64KiB", 65_536), ("256 MiB", 268_435_456), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert_eq!(ByteSize(268_435_456).to_string(), "256MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000");
    }

    #[test]
    fn anything_else_names_the_units() {
        for text in ["", "-1", "1.5MiB", "10MB", "99999999999GiB", "KiB"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.contains("KiB, MiB or GiB"), "{error}");
        }
    }
}
