//! The protocol of a span, read off its semantic-convention attributes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::Span;

/// What a span speaks. The order is that in which an order travels through the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// `http.request.method`.
    #[serde(rename = "HTTP", alias = "http")]
    Http,
    /// `rpc.system.name` (formerly `rpc.system`).
    #[serde(rename = "gRPC", alias = "grpc")]
    Grpc,
    /// `db.system.name` (formerly `db.system`) of any database but Redis.
    #[serde(rename = "SQL", alias = "sql")]
    Sql,
    /// `db.system.name` = `redis`.
    #[serde(alias = "redis")]
    Redis,
    /// `messaging.system` = `kafka`.
    #[serde(alias = "kafka")]
    Kafka,
    /// `network.protocol.name` or `messaging.system` = `smtp`.
    #[serde(rename = "SMTP", alias = "smtp")]
    Smtp,
}

impl Protocol {
    /// Finds the protocol of a span; `None` for work inside a process. Conventions before 1.27 are read as well,
    /// because OBI still emits some of them.
    pub fn of(span: &Span) -> Option<Self> {
        let either = |new: &str, old: &str| span.text(new).or_else(|| span.text(old));
        let is = |key: &str, value: &str| span.text(key).as_deref() == Some(value);
        if is("messaging.system", "kafka") {
            Some(Self::Kafka)
        } else if is("messaging.system", "smtp") || is("network.protocol.name", "smtp") {
            Some(Self::Smtp)
        } else if let Some(system) = either("db.system.name", "db.system") {
            Some(if system == "redis" { Self::Redis } else { Self::Sql })
        } else if either("rpc.system.name", "rpc.system").is_some() {
            Some(Self::Grpc)
        } else {
            either("http.request.method", "http.method").map(|_| Self::Http)
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "HTTP",
            Self::Grpc => "gRPC",
            Self::Sql => "SQL",
            Self::Redis => "Redis",
            Self::Kafka => "Kafka",
            Self::Smtp => "SMTP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventions_old_and_new() {
        for (attributes, protocol) in [
            (&[("http.request.method", "POST")][..], Some(Protocol::Http)),
            (&[("http.method", "GET")], Some(Protocol::Http)),
            (&[("rpc.system.name", "grpc"), ("network.protocol.name", "http")], Some(Protocol::Grpc)),
            (&[("rpc.system", "grpc"), ("http.request.method", "POST")], Some(Protocol::Grpc)),
            (&[("db.system.name", "postgresql")], Some(Protocol::Sql)),
            (&[("db.system", "redis")], Some(Protocol::Redis)),
            (&[("messaging.system", "kafka")], Some(Protocol::Kafka)),
            (&[("network.protocol.name", "smtp")], Some(Protocol::Smtp)),
            (&[("messaging.system", "rabbitmq"), ("network.protocol.name", "smtp")], Some(Protocol::Smtp)),
            (&[("code.function.name", "price")], None),
        ] {
            assert_eq!(Protocol::of(&Span::example("1", attributes)), protocol, "{attributes:?}");
        }
    }
}
