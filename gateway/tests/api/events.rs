//! Live events.

use std::time::Duration;

use proto::auth::StreamEventsResponse;

use crate::world::{TOKEN, World};

fn event(number: u32) -> StreamEventsResponse {
    StreamEventsResponse {
        event_id: format!("id-{number}"),
        event_type: "UserLoggedIn".into(),
        user_id: crate::world::ADA.into(),
        occurred_at: None,
        data: format!("{{\"number\": {number}}}"),
    }
}

#[tokio::test]
async fn events_come_as_they_happen_until_the_gateway_stops() {
    let world = World::start().await;
    world.neighbours.stream_events.answers(|_| Ok(vec![event(1), event(2)]));
    let mut answer = world.request("GET", "/api/v1/events?types=UserLoggedIn,UserCreated").bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    let mut text = String::new();
    while !text.ends_with("data: {\"number\": 2}\n\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(10), answer.chunk()).await.expect("no more events").unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.starts_with(": listening\n"), "{text}");
    assert!(text.contains("id: id-1\nevent: UserLoggedIn\ndata: {\"number\": 1}\n\nid: id-2\n"), "{text}");
    assert_eq!(world.neighbours.stream_events.messages()[0].event_types, ["UserLoggedIn", "UserCreated"]);
    world.process.shutdown.cancel();
    let rest = tokio::time::timeout(Duration::from_secs(5), answer.bytes()).await.expect("the answer ends with the process");
    assert!(rest.is_ok(), "it ends whole: {rest:?}");
}

#[tokio::test]
async fn what_auth_refuses_is_a_problem_and_no_stream() {
    let world = World::start().await;
    world.neighbours.stream_events.fails(&tonic::Status::resource_exhausted("too many subscribers"));
    assert_eq!(world.get("/api/v1/events").await.problem(), (429, "too-many-requests"));
}
