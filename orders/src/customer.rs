//! Who orders. No input or output.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::OrderError, field::Fields};

/// Bytes of an address; RFC 5321 leaves no room for more.
const MAX_EMAIL: usize = 254;

/// A signed-in user, as the gateway vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buyer {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
}

/// A customer as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) customer_id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// Who is to be a customer without having ordered: checked, the address in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCustomer {
    pub(crate) username: String,
    pub(crate) email: String,
}

impl NewCustomer {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(username: String, email: &str) -> Result<Self, OrderError> {
        let mut fields = Fields::default();
        let email = email.trim().to_lowercase();
        fields.name("username", &username);
        // what is no address (one with a NUL, for one) is no text for Postgres either
        if email.len() > MAX_EMAIL || garde::rules::email::parse_email(&email).is_err() {
            fields.refuse("email", format!("must be an e-mail address of at most {MAX_EMAIL} characters"));
        }
        fields.all_right()?;
        Ok(Self { username, email })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_lower_case_and_what_is_none_is_named() {
        assert_eq!(NewCustomer::new("Ada".into(), " Ada@Example.COM ").unwrap().email, "ada@example.com");
        for (username, email, wrong) in [("", "nobody", 2), ("Ada", "a\0@example.com", 1), ("Ada", "", 1), ("A\0", "a@example.com", 1)] {
            let Err(OrderError::Invalid(fields)) = NewCustomer::new(username.into(), email) else { panic!("{username:?} {email:?}") };
            assert_eq!(fields.len(), wrong, "{fields:?}");
        }
        let long = format!("{}@{}.example.com", "a".repeat(64), "b.".repeat(90));
        assert!(NewCustomer::new("Ada".into(), &long).is_err());
    }
}
