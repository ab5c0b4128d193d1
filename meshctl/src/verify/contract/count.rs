//! How many spans: `1`, `0..2`, `1..`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A number of spans, or a range with both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The fewest.
    pub min: usize,
    /// The most; none where there is no bound.
    pub max: Option<usize>,
}

impl Default for Count {
    fn default() -> Self {
        Self { min: 1, max: Some(1) }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no count: write a number (2), a range (0..3), or a lower bound (1..)");
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (min, max) = match text.split_once("..") {
            None => (number(text)?, Some(number(text)?)),
            Some((min, "")) => (number(min)?, None),
            Some((min, max)) => (number(min)?, Some(number(max)?)),
        };
        if max.is_some_and(|max| max < min || max == 0) { Err(wrong()) } else { Ok(Self { min, max }) }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) if max == self.min => write!(f, "{max}"),
            Some(max) => write!(f, "{}..{max}", self.min),
            None => write!(f, "{}..", self.min),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        for (text, min, max) in [("1", 1, Some(1)), ("0..2", 0, Some(2)), ("1..", 1, None), ("3..3", 3, Some(3))] {
            assert_eq!(text.parse(), Ok(Count { min, max }), "{text}");
        }
        for text in ["", "x", "2..1", "0", "0..0", "-1", "..2", "1...2"] {
            assert!(text.parse::<Count>().unwrap_err().contains("0..3"), "{text}");
        }
        assert_eq!(Count { min: 0, max: Some(2) }.to_string(), "0..2");
    }
}
