//! Dead letters: records that will not be handled, kept with all that is needed to repair and replay them.

use ::kafka::message::{Header, Headers as _, OwnedHeaders};

use crate::{
    consumer::{HandleError, Record},
    producer::{Producer, SendError},
    topics::DLQ,
};

/// Headers that the trace's own layer writes anew.
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Characters of a reason that are kept: it may quote the record, and has to fit into a record beside it.
const REASON_LENGTH: usize = 1_000;

/// Sends a record to the dead letter topic, within the trace of its processing, and waits for the acknowledgement.
pub(crate) async fn send(
    producer: &Producer,
    record: &Record,
    consumer: &str,
    error: &HandleError,
    attempts: usize,
) -> Result<(), SendError> {
    let mut headers = OwnedHeaders::new();
    for header in record.headers.iter().filter(|header| !TRACE_HEADERS.contains(&header.key)) {
        headers = headers.insert(header);
    }
    let facts = [
        ("dlq.reason", shortened(&error.to_string())),
        ("dlq.error.type", error.kind().to_owned()),
        ("dlq.original.topic", record.topic.clone()),
        ("dlq.original.partition", record.partition.to_string()),
        ("dlq.original.offset", record.offset.to_string()),
        ("dlq.original.timestamp", record.timestamp_ms.map(|ms| ms.to_string()).unwrap_or_default()),
        ("dlq.original.key", record.key.clone().unwrap_or_default()),
        ("dlq.attempts", attempts.to_string()),
        ("dlq.consumer", consumer.to_owned()),
    ];
    for (key, value) in &facts {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    producer.send_raw(DLQ, record.key.as_deref().unwrap_or_default(), &record.payload, headers).await
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(REASON_LENGTH) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}
