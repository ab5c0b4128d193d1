//! Rows for `COPY ... FROM STDIN (FORMAT binary)`.
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>

use uuid::Uuid;

/// Signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Milliseconds from 1970, where Unix begins to count, to 2000, where Postgres does.
const EPOCH: u64 = 946_684_800_000;

/// Rows of one table.
pub(super) struct Rows {
    bytes: Vec<u8>,
    count: u64,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { bytes: HEAD.to_vec(), count: 0 }
    }

    /// Begins a row; as many fields follow.
    pub(super) fn row(&mut self, fields: i16) -> &mut Self {
        self.count += 1;
        self.bytes.extend(fields.to_be_bytes());
        self
    }

    fn field(&mut self, value: &[u8]) -> &mut Self {
        // nothing here is longer than a paragraph
        self.bytes.extend(i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
        self.bytes.extend(value);
        self
    }

    pub(super) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub(super) fn bytea(&mut self, value: &[u8]) -> &mut Self {
        self.field(value)
    }

    pub(super) fn int2(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int4(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int8(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// A `timestamptz`, from milliseconds since 1970.
    pub(super) fn time(&mut self, value: u64) -> &mut Self {
        self.field(&(value.saturating_sub(EPOCH) * 1_000).to_be_bytes())
    }

    /// A `numeric` with two decimals, below 10^8: digits of base 10,000, two before the point and one behind it.
    pub(super) fn cents(&mut self, value: u64) -> &mut Self {
        let digit = |value: u64| u16::try_from(value).unwrap_or_default();
        let (whole, hundredths) = (value / 100, value % 100);
        // how many digits, the power of the first, positive, two decimals
        let parts = [3, 1, 0, 2, digit(whole / 10_000), digit(whole % 10_000), digit(hundredths * 100)];
        self.field(&parts.map(u16::to_be_bytes).concat())
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// All of them, as the server wants them.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend((-1_i16).to_be_bytes());
        self.bytes
    }
}
