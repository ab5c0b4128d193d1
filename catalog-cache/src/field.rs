//! The fields of requests. Those that are wrong are collected, so that all are named at once.

use chassis::status::Violation;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::CatalogError;

/// The most rows on a page.
const MAX_PAGE: u32 = 100;

/// The wrong fields of a request, so far. A field that is wrong reads as something that nobody will see.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<Violation>);

impl Fields {
    /// `field` is wrong; `allowed` says what it must be.
    pub(crate) fn refuse(&mut self, field: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(Violation::new(field, allowed));
    }

    /// `value`, where all fields are right.
    pub(crate) fn done<T>(self, value: T) -> Result<T, CatalogError> {
        if self.0.is_empty() { Ok(value) } else { Err(CatalogError::Invalid(self.0)) }
    }

    pub(crate) fn id(&mut self, field: impl Into<String>, text: &str) -> Uuid {
        text.parse().unwrap_or_else(|_| {
            self.refuse(field, "must be a UUID");
            Uuid::nil()
        })
    }

    /// One line of text.
    pub(crate) fn line(&mut self, field: &str, text: String, most: usize) -> String {
        if text.trim().is_empty() || text.chars().count() > most || text.contains(char::is_control) {
            self.refuse(field, format!("must be 1 to {most} characters, not only white space and without control characters"));
        }
        text
    }

    /// Lines of text.
    pub(crate) fn lines(&mut self, field: &str, text: String, least: usize, most: usize) -> String {
        let blank = least > 0 && text.trim().is_empty();
        if blank || text.chars().count() > most || text.contains(|sign: char| sign.is_control() && !"\n\r\t".contains(sign)) {
            let what = if least > 0 { "not only white space and " } else { "" };
            self.refuse(field, format!("must be {least} to {most} characters, {what}without control characters but line breaks and tabs"));
        }
        text
    }

    /// Up to 64 of the signs that `allows`; `signs` says which these are.
    pub(crate) fn code(&mut self, field: &str, text: String, allows: impl Fn(u8) -> bool, signs: &str) -> String {
        if !(1..=64).contains(&text.len()) || !text.bytes().all(allows) {
            self.refuse(field, format!("must be 1 to 64 {signs}"));
        }
        text
    }

    pub(crate) fn category(&mut self, field: &str, text: String) -> String {
        let allows = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
        self.code(field, text, allows, "lower-case letters, digits and `-`")
    }

    pub(crate) fn amount(&mut self, field: &str, text: &str) -> Decimal {
        amount(text).unwrap_or_else(|| {
            self.refuse(field, "must be a decimal number from 0.00 to 9999999999.99 with at most two digits after the point");
            Decimal::ZERO
        })
    }

    /// How many rows, from 1 to 100, where 0 means `default`.
    pub(crate) fn number(&mut self, field: &str, asked: u32, default: u32) -> u32 {
        if asked > MAX_PAGE {
            self.refuse(field, format!("must be 1 to {MAX_PAGE}, or 0 for {default}"));
        }
        if asked == 0 { default } else { asked }
    }

    pub(crate) fn wrong_token(&mut self) {
        self.refuse("page_token", "must be the next_page_token of the page before in the same order, or empty");
    }
}

/// What a price can be; none for other text.
pub(crate) fn amount(text: &str) -> Option<Decimal> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|sign| sign.is_ascii_digit());
    if digits(whole, 10) && digits(cents, 2) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn an_amount_is_plain_digits_with_at_most_two_after_the_point() {
        for (text, value) in [("0", dec!(0)), ("0.00", dec!(0)), ("19.9", dec!(19.9)), ("9999999999.99", dec!(9_999_999_999.99))] {
            assert_eq!(amount(text), Some(value), "{text}");
        }
        for text in ["", ".", ".5", "5.", "-1", "-0", "+1", "1e3", "NaN", "inf", "1.999", "10000000000", "1,50", " 1", "1_0", "٣", "1\0"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    #[test]
    fn texts_have_no_signs_that_cannot_be_kept_or_seen() {
        let wrong = |read: fn(&mut Fields)| {
            let mut fields = Fields::default();
            read(&mut fields);
            fields.done(()).is_err()
        };
        assert!(wrong(|fields| drop(fields.line("f", "a\0b".into(), 9))));
        assert!(wrong(|fields| drop(fields.line("f", "a\nb".into(), 9))));
        assert!(wrong(|fields| drop(fields.line("f", " \u{3000}".into(), 9))));
        assert!(wrong(|fields| drop(fields.lines("f", "a\0b".into(), 0, 9))));
        assert!(wrong(|fields| drop(fields.lines("f", "\n".into(), 1, 9))));
        assert!(!wrong(|fields| drop(fields.lines("f", String::new(), 0, 9))));
        assert!(!wrong(|fields| drop(fields.lines("f", "a\r\n\tb".into(), 1, 9))));
        // characters are counted, not bytes
        assert!(!wrong(|fields| drop(fields.line("f", "äöüßéñçøå".into(), 9))));
    }
}
