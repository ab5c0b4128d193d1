//! A record as a handler sees it, and how handling can fail.

use std::{borrow::Cow, fmt};

use ::kafka::{
    Message,
    message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders},
};

use crate::{
    envelope::{Envelope, Event},
    producer::SendError,
};

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Record {
    /// Topic, its suffix included.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, set by the producer.
    pub timestamp_ms: Option<i64>,
    /// Key; any bytes. None where the record has none.
    pub key: Option<Vec<u8>>,
    /// Value; empty where there is none.
    pub payload: Vec<u8>,
    /// The value is absent, which is not the same as empty.
    pub tombstone: bool,
    /// Headers.
    pub headers: OwnedHeaders,
}

/// Each byte copied once.
impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
            tombstone: message.payload().is_none(),
            headers: message.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach),
        }
    }
}

impl Record {
    /// The key, where there is one and it is UTF-8.
    pub fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }

    /// The value, where there is one.
    pub fn value(&self) -> Option<&[u8]> {
        (!self.tombstone).then_some(self.payload.as_slice())
    }

    /// The `event_type` of the envelope.
    ///
    /// # Errors
    /// [`HandleError::Permanent`] where the record is no envelope.
    pub fn event_type(&self) -> Result<String, HandleError> {
        Ok(self.parse::<serde::de::IgnoredAny>()?.event_type)
    }

    /// The envelope with its data as a `T`.
    ///
    /// # Errors
    /// [`HandleError::Permanent`] where it is something else, or of a later schema than this program knows.
    pub fn decode<T: Event>(&self) -> Result<Envelope<T>, HandleError> {
        let event: Envelope<T> = self.parse()?;
        if event.event_type != T::TYPE || event.schema_version > T::SCHEMA_VERSION {
            let (kind, version) = (&event.event_type, event.schema_version);
            return Err(HandleError::permanent(format!("{kind} version {version} is not {} up to {}", T::TYPE, T::SCHEMA_VERSION)));
        }
        Ok(event)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<Envelope<T>, HandleError> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| HandleError::permanent(format!("not an event: {error}")).of_class("serde_json::Error"))
    }
}

/// How a record was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It has its effect now, or asked for none.
    Now,
    /// It had its effect before: a duplicate, of which nothing came.
    Before,
    /// It is of a type that came after this program, on a topic of many types.
    Ignored,
}

/// Why a record was not handled, which decides what comes next.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It never will be: to the dead letters.
    #[error("{0}")]
    Permanent(Cause),
    /// Another try may succeed: a few more, then to the dead letters.
    #[error("{0}")]
    Transient(Cause),
    /// Something that the handler needs is away: everybody waits for it, and no record is to blame.
    #[error("{0}")]
    Unavailable(Cause),
}

/// What a handler says of a failure.
#[derive(Debug)]
pub struct Cause {
    text: String,
    class: Cow<'static, str>,
    uncertain: bool,
}

impl<T: Into<String>> From<T> for Cause {
    fn from(text: T) -> Self {
        Self { text: text.into(), class: Cow::Borrowed("HandleError"), uncertain: false }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HandleError {
    /// It never will be handled.
    pub fn permanent(text: impl Into<String>) -> Self {
        Self::Permanent(text.into().into())
    }

    /// Another try may succeed.
    pub fn transient(text: impl Into<String>) -> Self {
        Self::Transient(text.into().into())
    }

    /// Something that the handler needs is away.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into().into())
    }

    /// Nobody can tell whether it has had its effect, and a repeat could have it twice: for a person to decide.
    pub fn uncertain(text: impl Into<String>) -> Self {
        Self::Permanent(Cause { uncertain: true, ..text.into().into() })
    }

    /// The same failure with the Rust type of what failed. Where nothing is said, it is the handler itself that refuses.
    #[must_use]
    pub fn of_class(mut self, class: impl Into<Cow<'static, str>>) -> Self {
        let (Self::Permanent(cause) | Self::Transient(cause) | Self::Unavailable(cause)) = &mut self;
        cause.class = class.into();
        self
    }

    /// `permanent`, `uncertain`, `transient` or `unavailable`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Permanent(Cause { uncertain: true, .. }) => "uncertain",
            Self::Permanent(_) => "permanent",
            Self::Transient(_) => "transient",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The Rust type of what failed, such as `serde_json::Error`; `HandleError` where the handler itself refuses.
    pub fn class(&self) -> &str {
        let (Self::Permanent(cause) | Self::Transient(cause) | Self::Unavailable(cause)) = self;
        &cause.class
    }
}

impl From<diesel::result::Error> for HandleError {
    fn from(error: diesel::result::Error) -> Self {
        let text = error.to_string();
        let kind = if db::pool::is_unavailable(&error) { Self::unavailable } else { Self::transient };
        kind(text).of_class("diesel::result::Error")
    }
}

impl From<db::pool::DatabaseUnavailable> for HandleError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::unavailable(error.to_string()).of_class("db::pool::DatabaseUnavailable")
    }
}

impl From<chassis::redis::RedisUnavailable> for HandleError {
    fn from(error: chassis::redis::RedisUnavailable) -> Self {
        Self::unavailable(error.to_string()).of_class("chassis::redis::RedisUnavailable")
    }
}

impl From<bb8_redis::redis::RedisError> for HandleError {
    fn from(error: bb8_redis::redis::RedisError) -> Self {
        // a server that loads its file, is read-only or full says so to everybody
        let refuses_all =
            matches!(error.code(), Some("LOADING" | "READONLY" | "MISCONF" | "OOM" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN"));
        let away = refuses_all || error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error();
        let kind = if away { Self::unavailable } else { Self::transient };
        kind(error.to_string()).of_class("redis::RedisError")
    }
}

impl From<SendError> for HandleError {
    fn from(error: SendError) -> Self {
        let kind = if error.is_permanent() { Self::permanent } else { Self::unavailable };
        kind(error.to_string()).of_class(error.class())
    }
}

#[cfg(test)]
mod tests {
    use bb8_redis::redis::{RedisError, Value, parse_redis_value};

    use super::*;

    fn said(line: &str) -> HandleError {
        let Ok(Value::ServerError(error)) = parse_redis_value(line.as_bytes()) else { panic!("{line:?} is no error") };
        RedisError::from(error).into()
    }

    #[test]
    fn a_redis_that_refuses_everybody_is_unavailable_and_one_that_dislikes_a_command_is_not() {
        for line in ["-LOADING Redis is loading the dataset in memory\r\n", "-READONLY You can't write against a read only replica\r\n"] {
            assert_eq!(said(line).kind(), "unavailable", "{line}");
        }
        assert_eq!(said("-MISCONF Redis is configured to save RDB snapshots\r\n").kind(), "unavailable");
        assert_eq!(said("-OOM command not allowed when used memory > 'maxmemory'\r\n").kind(), "unavailable");
        assert_eq!(said("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n").kind(), "transient");
    }
}
