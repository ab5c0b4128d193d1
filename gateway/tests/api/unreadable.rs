//! Bytes that are no request of HTTP, or too much of one: also they are answered with a problem.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

/// All that is answered to these bytes, until the end of the connection.
async fn answers_to(world: &World, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut answers = Vec::new();
    let all = async {
        let reading = async {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = read.read(&mut piece).await {
                answers.extend_from_slice(&piece[..length]);
            }
        };
        // a server that has read enough may hang up
        let (_, ()) = tokio::join!(write.write_all(bytes), reading);
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the connection ends");
    String::from_utf8(answers).unwrap()
}

/// The one answer in the text has this status, and a body that is a problem of its own.
fn assert_problem(text: &str, status: u16) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert_eq!((field("content-type"), field("connection")), ("application/problem+json", "close"), "{head}");
    assert_eq!(field("content-length"), body.len().to_string(), "{text}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["status"], problem["type"].as_str()), (&status.into(), Some("about:blank")), "{problem}");
    assert_eq!(problem["request_id"].as_str(), Some(field("x-request-id")), "{problem}");
    for member in ["title", "detail", "request_id"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing in {problem}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_400() {
    let world = World::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"what is this\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon here\r\n\r\n",
        b"POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: many\r\n\r\n",
        b"POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        assert_problem(&answers_to(&world, bytes).await, 400);
    }
}

#[tokio::test]
async fn header_fields_that_are_too_many_or_too_long_are_431() {
    let world = World::start().await;
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    assert_problem(&answers_to(&world, format!("GET /health HTTP/1.1\r\n{many}\r\n").as_bytes()).await, 431);
    let long = "y".repeat(300 << 10);
    assert_problem(&answers_to(&world, format!("GET /health HTTP/1.1\r\nx: {long}\r\n\r\n").as_bytes()).await, 431);
}

#[tokio::test]
async fn a_request_that_does_not_come_to_its_end_is_408() {
    let world = World::start().await;
    assert_problem(&answers_to(&world, b"GET /health HTTP/1.1\r\nhost: a\r\n").await, 408);
}

/// The answer of the application, and the refusal that follows, may be written at once.
#[tokio::test]
async fn requests_before_what_cannot_be_read_are_answered_as_always() {
    let world = World::start().await;
    for (path, status) in [("/health", 200), ("/nowhere", 404), ("/api/v1/openapi.json", 200)] {
        let text = answers_to(&world, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n\x01\x02\x03\r\n\r\n").as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {text}");
        let second = text.rfind("HTTP/1.1 400 ").unwrap_or_else(|| panic!("{path}: no second answer in {text}"));
        assert_problem(&text[second..], 400);
        let (head, body) = text[..second].split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{path}: {head}");
        assert!(serde_json::from_str::<Value>(body).is_ok(), "{path}: {body}");
    }
}
