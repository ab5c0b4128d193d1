//! The record that asked for a mail, as the outbox keeps it.

use ::kafka::message::{Header, Headers as _, OwnedHeaders};
use serde::{Deserialize, Serialize};
use telemetry::context::TraceContext;
use uuid::Uuid;

use super::store::{Claimed, Original};
use crate::consumer::{HandleError, Record};

/// All of a record but its value.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

/// Bytes that are text as a rule. Either way Postgres takes them: JSON writes a NUL as six letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Bytes {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Bytes(bytes.to_vec()), |text| Self::Text(text.to_owned()))
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> Original<'a> {
    /// The record, within the current trace.
    pub(super) fn of(record: &'a Record, event_id: Uuid) -> Result<Self, HandleError> {
        let TraceContext { traceparent, tracestate } = TraceContext::current();
        Ok(Self { event_id, record: Kept::of(record).to_text()?, payload: &record.payload, traceparent, tracestate })
    }
}

impl Claimed {
    /// The record as it was read.
    pub(super) fn original(&self) -> Result<Record, HandleError> {
        Ok(Kept::from_text(&self.record)?.with(self.payload.clone()))
    }

    /// The span that took the record.
    pub(super) fn parent(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }
}

impl Kept {
    fn of(record: &Record) -> Self {
        Self {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref().map(Bytes::from),
            headers: record.headers.iter().map(|header| (header.key.to_owned(), header.value.map(Bytes::from))).collect(),
        }
    }

    fn with(self, payload: Vec<u8>) -> Record {
        let add = |all: OwnedHeaders, (key, value): &(String, Option<Bytes>)| {
            all.insert(Header { key, value: value.as_ref().map(Bytes::as_slice) })
        };
        Record {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_ref().map(|key| key.as_slice().to_vec()),
            payload,
            tombstone: false,
            headers: self.headers.iter().fold(OwnedHeaders::new(), add),
        }
    }

    fn to_text(&self) -> Result<String, HandleError> {
        serde_json::to_string(self).map_err(|error| unreadable(&error))
    }

    fn from_text(text: &str) -> Result<Self, HandleError> {
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> HandleError {
    HandleError::permanent(format!("the record: {error}")).of_class("serde_json::Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let headers = [("a", Some(b"text".as_slice())), ("a", Some(b"")), ("b", None), ("c", Some(&[0xff, 0x00])), ("d", Some(b"\0"))];
        for key in [None, Some(b"key".to_vec()), Some(Vec::new()), Some(vec![0xff, 0x00])] {
            let record = Record {
                topic: "notifications".into(),
                partition: 3,
                offset: 7,
                timestamp_ms: Some(1_700_000_000_000),
                key,
                payload: b"{}".to_vec(),
                tombstone: false,
                headers: headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value })),
            };
            let text = Kept::of(&record).to_text().unwrap();
            assert!(!text.contains('\0'), "Postgres would not keep it");
            let back = Kept::from_text(&text).unwrap().with(record.payload.clone());
            let place = |record: &Record| (record.topic.clone(), record.partition, record.offset, record.timestamp_ms);
            assert_eq!((place(&back), &back.key, &back.payload), (place(&record), &record.key, &record.payload));
            let values = |record: &Record| record.headers.iter().map(|header| header.value.map(<[u8]>::to_vec)).collect::<Vec<_>>();
            assert_eq!(values(&back), values(&record));
        }
    }
}
