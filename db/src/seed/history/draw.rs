//! Numbers that look drawn by chance and are the same each time: what number a thing has decides all about it.

use uuid::{Builder, Uuid};

/// Steps of splitmix64 (Steele, Lea, Flood 2014): 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws for one thing.
pub(super) struct Draw(u64);

impl Draw {
    /// The draws of thing `number` of a kind; kinds differ in nothing but their name.
    pub(super) fn of(kind: &[u8; 8], number: u64) -> Self {
        let mut draw = Self(u64::from_le_bytes(*kind) ^ number.wrapping_mul(GOLDEN));
        // neighbours are far apart after two rounds
        let start = draw.next();
        Self(start)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is less than 2^32; each equally often.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        scaled(self.next() >> 32, bound)
    }

    /// Below `bound`; the square root of a share of the numbers has that share of the draws: of 200, the first has 7 % and the
    /// last 0.25 %.
    pub(super) fn skewed(&mut self, bound: u64) -> u64 {
        let part = self.next() >> 32;
        scaled(scaled(part, part), bound)
    }

    /// A UUIDv7 of that time, in milliseconds since 1970.
    pub(super) fn id(&mut self, time: u64) -> Uuid {
        let mut rest = [0; 10];
        let (high, low) = (self.next().to_be_bytes(), self.next().to_be_bytes());
        rest[..8].copy_from_slice(&high);
        rest[8..].copy_from_slice(&low[..2]);
        Builder::from_unix_timestamp_millis(time, &rest).into_uuid()
    }
}

/// Where in a span of `span` thing `number` lies. However many there are, they are spread evenly: multiples of the golden
/// ratio are (van der Corput's theorem), so nobody has to know in advance how many there will be.
pub(super) fn spread(number: u64, span: u64) -> u64 {
    scaled(number.wrapping_mul(GOLDEN) >> 32, span)
}

/// `part` of 2^32, of `bound`.
fn scaled(part: u64, bound: u64) -> u64 {
    (part * bound) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_and_the_first_million_are_spread_over_the_whole_span() {
        for count in [100, 1_000_000] {
            let mut tenths = [0_u64; 10];
            for number in 0..count {
                tenths[usize::try_from(spread(number, 10)).expect("a tenth")] += 1;
            }
            let fair = count / 10;
            assert!(tenths.iter().all(|found| found.abs_diff(fair) <= fair / 20 + 1), "{tenths:?}");
        }
    }

    /// What tells a seed that was interrupted from one that is whole.
    #[test]
    fn two_thousand_in_a_row_leave_no_gap_of_more_than_a_thousandth() {
        for first in [0, 2_000, 777_000, 9_998_000] {
            let mut places: Vec<u64> = (first..first + 2_000).map(|number| spread(number, 1_000_000)).chain([0, 1_000_000]).collect();
            places.sort_unstable();
            let widest = places.windows(2).map(|pair| pair[1] - pair[0]).max().expect("pairs");
            assert!(widest < 1_000, "{widest} millionths from {first} on");
        }
    }

    #[test]
    fn skewed_draws_favour_the_first_and_forget_nobody() {
        let mut found = [0_u32; 200];
        for number in 0..100_000 {
            found[usize::try_from(Draw::of(b"product.", number).skewed(200)).expect("an index")] += 1;
        }
        assert!(found[0] > 5_000 && found[199] > 100 && found[0] > 10 * found[199], "{found:?}");
    }

    #[test]
    fn an_id_has_its_time_and_is_the_same_each_time() {
        let id = |number| Draw::of(b"an order", number).id(1_700_000_000_123);
        let (seconds, nanos) = id(7).get_timestamp().expect("a UUIDv7").to_unix();
        assert_eq!((seconds, nanos), (1_700_000_000, 123_000_000));
        assert_eq!(id(7), id(7));
        assert_ne!(id(7), id(8));
    }
}
