//! A record as a handler sees it, and how handling can fail.

use ::kafka::{
    Message,
    message::{OwnedHeaders, OwnedMessage},
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
    /// Key, where it is text.
    pub key: Option<String>,
    /// Value; empty where there is none.
    pub payload: Vec<u8>,
    /// Headers.
    pub headers: OwnedHeaders,
}

impl From<OwnedMessage> for Record {
    fn from(message: OwnedMessage) -> Self {
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: message.headers().cloned().unwrap_or_default(),
        }
    }
}

impl Record {
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
            return Err(HandleError::Permanent(format!("{kind} version {version} is not {} up to {}", T::TYPE, T::SCHEMA_VERSION)));
        }
        Ok(event)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<Envelope<T>, HandleError> {
        serde_json::from_slice(&self.payload).map_err(|error| HandleError::Permanent(format!("not an event: {error}")))
    }
}

/// How a record was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It has its effect now, or asked for none.
    Now,
    /// It had its effect before: a duplicate, of which nothing came.
    Before,
}

/// Why a record was not handled, which decides what comes next.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It never will be: to the dead letters.
    #[error("{0}")]
    Permanent(String),
    /// Another try may succeed: a few more, then to the dead letters.
    #[error("{0}")]
    Transient(String),
    /// Something that the handler needs is away: everybody waits for it, and no record is to blame.
    #[error("{0}")]
    Unavailable(String),
}

impl HandleError {
    /// `permanent`, `transient` or `unavailable`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Permanent(_) => "permanent",
            Self::Transient(_) => "transient",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<diesel::result::Error> for HandleError {
    fn from(error: diesel::result::Error) -> Self {
        if db::pool::is_unavailable(&error) { Self::Unavailable(error.to_string()) } else { Self::Transient(error.to_string()) }
    }
}

impl From<db::pool::DatabaseUnavailable> for HandleError {
    fn from(error: db::pool::DatabaseUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<chassis::redis::RedisUnavailable> for HandleError {
    fn from(error: chassis::redis::RedisUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<bb8_redis::redis::RedisError> for HandleError {
    fn from(error: bb8_redis::redis::RedisError) -> Self {
        // a server that loads its file, is read-only or full says so to everybody
        let refuses_all =
            matches!(error.code(), Some("LOADING" | "READONLY" | "MISCONF" | "OOM" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN"));
        if refuses_all || error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() {
            Self::Unavailable(error.to_string())
        } else {
            Self::Transient(error.to_string())
        }
    }
}

impl From<SendError> for HandleError {
    fn from(error: SendError) -> Self {
        if error.is_permanent() { Self::Permanent(error.to_string()) } else { Self::Unavailable(error.to_string()) }
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
