//! What happens to users and sessions, as server-sent events. <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::{fmt::Write, time::Duration};

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Bytes};
use futures::{Stream, StreamExt, future::Either, stream};
use proto::auth::{StreamEventsRequest, StreamEventsResponse};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use utoipa::IntoParams;

use crate::{
    field::text_field,
    query::{Params, QueryForm},
};

/// A comment is sent when nothing happens for so long, so that proxies keep the connection and a client that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

text_field!(EventTypes, 1 to 500, "must be types of event with commas between them");

/// `GET /events`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only these, with commas between them: `UserCreated`, `UserUpdated`, `UserDeleted`, `UserLoggedIn`, `UserLoggedOut`.
    types: Option<EventTypes>,
}

impl QueryForm for EventQuery {
    fn read(params: &mut Params) -> Option<Self> {
        Some(Self { types: params.optional("types")? })
    }
}

impl From<EventQuery> for StreamEventsRequest {
    fn from(query: EventQuery) -> Self {
        let types = query.types.map(|types| types.0.split(',').map(ToOwned::to_owned).collect());
        Self { event_types: types.unwrap_or_default() }
    }
}

/// An answer that ends when the process stops, or auth ends the stream.
pub(crate) fn answer(events: Streaming<StreamEventsResponse>, shutdown: CancellationToken) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(Box::pin(lines(events).take_until(shutdown.cancelled_owned())))
}

/// The first line comes at once: the client knows that it misses nothing from then on.
fn lines(events: Streaming<StreamEventsResponse>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let begin = stream::once(async { Ok(Bytes::from_static(b": listening\nretry: 1000\n\n")) });
    begin.chain(stream::unfold(Some(events), async |events| {
        let mut events = events?;
        let next = match tokio::time::timeout(KEEP_ALIVE, events.message()).await {
            Err(_) => Either::Left(Bytes::from_static(b":\n\n")),
            Ok(Ok(Some(event))) => Either::Left(block(&event)),
            Ok(Ok(None)) => return None,
            Ok(Err(status)) => Either::Right(last(&status)),
        };
        match next {
            Either::Left(line) => Some((Ok(line), Some(events))),
            Either::Right(line) => Some((Ok(line), None)),
        }
    }))
}

fn block(event: &StreamEventsResponse) -> Bytes {
    let mut text = format!("id: {}\nevent: {}\n", event.event_id, event.event_type);
    // JSON has no line breaks but in white space, and each line of data needs its name
    for line in event.data.lines() {
        let _infallible = writeln!(text, "data: {line}");
    }
    text.push('\n');
    Bytes::from(text)
}

/// Why there will be no more: the client tries again.
fn last(status: &tonic::Status) -> Bytes {
    let reason = Value::from(telemetry::grpc::code_name(status.code()));
    Bytes::from(format!("event: end\ndata: {{\"reason\": {reason}}}\n\n"))
}
