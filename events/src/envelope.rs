//! What every event looks like on the wire: JSON, readable with kcat.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The data of one kind of event.
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + Sync {
    /// `event_type` in the envelope.
    const TYPE: &'static str;
    /// The topic that carries it.
    const TOPIC: &'static str;
    /// What it is about: `order` or `user`.
    const AGGREGATE: &'static str;
    /// Raised when a reader of the version before could misread the data. Additions do not raise it.
    const SCHEMA_VERSION: u32 = 1;
}

/// An event and what a handler has to know of it before it looks inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    /// Unique; the same for every copy of the event. `UUIDv7`, or version 5 where it is derived from another event.
    pub event_id: Uuid,
    /// For example `OrderPlaced`.
    pub event_type: String,
    /// Version of the data's schema.
    pub schema_version: u32,
    /// `order` or `user`.
    pub aggregate_type: String,
    /// The record's key: all events of one aggregate are in one partition.
    pub aggregate_id: Uuid,
    /// Counts the aggregate's changes, so that a reader of several topics can tell old from new.
    pub aggregate_version: i64,
    /// When it happened, UTC.
    pub occurred_at: DateTime<Utc>,
    /// The event itself.
    pub data: T,
}

impl<T: Event> Envelope<T> {
    /// A new event about the `aggregate_version`-th change of `aggregate_id`.
    pub fn new(aggregate_id: Uuid, aggregate_version: i64, data: T) -> Self {
        Self {
            event_id: Uuid::now_v7(),
            event_type: T::TYPE.to_owned(),
            schema_version: T::SCHEMA_VERSION,
            aggregate_type: T::AGGREGATE.to_owned(),
            aggregate_id,
            aggregate_version,
            occurred_at: Utc::now(),
            data,
        }
    }
}

impl<S> Envelope<S> {
    /// An event that follows from this one. Its id is a function of this one's and the topic, so that a repeat of this
    /// one makes a repeat and not a second event.
    pub fn derive<T: Event>(&self, data: T) -> Envelope<T> {
        Envelope {
            event_id: Uuid::new_v5(&self.event_id, T::TOPIC.as_bytes()),
            occurred_at: self.occurred_at,
            ..Envelope::new(self.aggregate_id, self.aggregate_version, data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{UserCreated, UserLoggedIn};

    fn created() -> Envelope<UserCreated> {
        let data = UserCreated { user_id: Uuid::nil(), username: "ada".into(), email: "ada@example.com".into(), timestamp: Utc::now() };
        Envelope::new(Uuid::nil(), 1, data)
    }

    #[test]
    fn a_derived_event_has_the_same_id_each_time_and_another_per_source() {
        let login = || UserLoggedIn { user_id: Uuid::nil(), session_id: Uuid::nil(), timestamp: Utc::now() };
        let (one, other) = (created(), created());
        assert_eq!(one.derive(login()).event_id, one.derive(login()).event_id);
        assert_ne!(one.derive(login()).event_id, other.derive(login()).event_id);
    }

    #[test]
    fn a_reader_passes_over_what_a_newer_writer_adds() {
        let mut json = serde_json::to_value(created()).unwrap();
        json["data"]["locale"] = "de".into();
        json["tenant"] = "acme".into();
        assert!(serde_json::from_value::<Envelope<UserCreated>>(json).is_ok());
    }
}
