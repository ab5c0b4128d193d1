//! Values that must not show.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use url::Url;

const MASK: &str = "****";

/// A secret, or a URL with a password in it. Shows itself masked wherever it is printed or serialised.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn masked(&self) -> String {
        match Url::parse(&self.0) {
            Ok(mut url) if url.has_host() => {
                if url.password().is_some() {
                    // a URL with a host can take a password
                    let _ = url.set_password(Some(MASK));
                }
                url.to_string()
            }
            _ if self.0.is_empty() => String::new(),
            _ => MASK.to_owned(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn only_the_password_of_a_url_is_hidden() {
        let url = Secret::new("postgres://orders:s3cret@db:5432/throughline");
        assert_eq!(format!("{url:?}"), "postgres://orders:****@db:5432/throughline");
        assert_eq!(Secret::new("s3cret").to_string(), "****");
        assert_eq!(serde_json::to_string(&Secret::new("s3cret")).unwrap(), r#""****""#);
    }
}
