//! Requests that cannot be read.

use anyhow::Result;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    answer::Answer,
    world::{TOKEN, World, send},
};

const PATHS: [&str; 3] = ["/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/orders"];

async fn post(world: &World, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    send(world.request("POST", path).bearer_auth(TOKEN).header("content-type", content_type).body(body)).await
}

#[tokio::test]
async fn malformed_json_is_400_with_its_position() {
    let world = World::start().await;
    for path in PATHS {
        for (body, position) in [
            ("{\"items\": [1,\n 2,,]}", "line 2 column 4"),
            ("", "line 1 column 0"),
            ("{\"a\": 1e999}", "line 1 column"),
            ("{} {}", "line 1 column 4"),
            ("{\"a\": \"\\ud800\"}", "line 1 column"),
        ] {
            let answer = post(&world, path, "application/json", body).await;
            assert_eq!(answer.problem(), (400, "malformed-request"), "{path} {body}");
            assert!(answer.detail().contains(position), "{}", answer.detail());
        }
        let answer = post(&world, path, "application/json", vec![b'{', b'"', 0xFF, b'"', b':', b'1', b'}']).await;
        assert_eq!(answer.problem(), (400, "malformed-request"), "{path}: no UTF-8");
        let answer = post(&world, path, "application/json", "[".repeat(10_000)).await;
        assert_eq!(answer.problem(), (400, "malformed-request"), "{path}: deep");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_422() {
    let world = World::start().await;
    for body in ["[]", "null", "7", "\"items\""] {
        assert_eq!(post(&world, "/api/v1/orders", "application/json", body).await.problem(), (422, "validation"), "{body}");
    }
}

#[tokio::test]
async fn unknown_fields_are_400_and_named_beside_the_wrong_ones() {
    let world = World::start().await;
    let body = json!({"items": [{"product_id": 7, "quantity": 1, "price": "0.01"}], "total": 1});
    let answer = world.post("/api/v1/orders", &body).await;
    assert_eq!(answer.problem(), (400, "unknown-field"));
    assert_eq!(answer.fields(), ["items[0].product_id", "items[0].price", "total"]);
    let answer = world.post("/api/v1/auth/login", &json!({"email": "a@example.org", "password": "x", "role": "admin"})).await;
    assert_eq!((answer.problem(), answer.fields()), ((400, "unknown-field"), vec!["role"]));
    assert_eq!(answer.json["errors"][0]["detail"], "is not known here; known are email, password");
}

#[tokio::test]
async fn an_answer_does_not_grow_with_the_mistakes() {
    let world = World::start().await;
    let fields: serde_json::Map<String, Value> = (0..3_000).map(|number| (format!("field{number}"), json!(1))).collect();
    let answer = world.post("/api/v1/orders", &Value::Object(fields)).await;
    assert_eq!((answer.problem(), answer.fields().len()), ((400, "unknown-field"), 100));
}

#[tokio::test]
async fn another_media_type_is_415() {
    let world = World::start().await;
    for path in PATHS {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"] {
            assert_eq!(post(&world, path, content_type, "{}").await.problem(), (415, "unsupported-media-type"), "{path} {content_type}");
        }
        let without = send(world.request("POST", path).bearer_auth(TOKEN).body("{}")).await;
        assert_eq!(without.problem(), (415, "unsupported-media-type"), "{path}");
        let packed = world.request("POST", path).bearer_auth(TOKEN).json(&json!({})).header("content-encoding", "gzip");
        assert_eq!(send(packed).await.problem(), (415, "unsupported-media-type"), "{path}");
    }
    assert_eq!(post(&world, PATHS[0], "Application/JSON; charset=utf-8", "{}").await.problem(), (422, "validation"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_the_limit_is_named() {
    let world = World::start_with(|config| config.limits.body_bytes = 1_000).await;
    for path in PATHS {
        let answer = post(&world, path, "application/json", " ".repeat(1_001)).await;
        assert_eq!(answer.problem(), (413, "content-too-large"), "{path}");
        assert!(answer.detail().contains("1000"), "{}", answer.detail());
        // one that is far larger than what the kernel takes before the answer is read
        assert_eq!(post(&world, path, "application/json", " ".repeat(8 << 20)).await.problem(), (413, "content-too-large"), "{path}");
    }
    assert_eq!(post(&world, PATHS[0], "application/json", " ".repeat(998) + "{}").await.problem(), (422, "validation"));
}

#[tokio::test]
async fn the_default_limit_is_64_kib() {
    let world = World::start().await;
    let padded = |length: usize| " ".repeat(length - 2) + "{}";
    assert_eq!(post(&world, PATHS[0], "application/json", padded(64 << 10)).await.problem(), (422, "validation"));
    assert_eq!(post(&world, PATHS[0], "application/json", padded((64 << 10) + 1)).await.problem(), (413, "content-too-large"));
}

/// Sends bytes and returns all that comes back until the gateway closes the connection.
async fn raw(world: &World, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(world.url.trim_start_matches("http://")).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted_as_it_comes() -> Result<()> {
    let world = World::start_with(|config| config.limits.body_bytes = 100).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(&world, &format!("{head}{}0\r\n\r\n", format!("32\r\n{}\r\n", " ".repeat(50)).repeat(3))).await?;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("x-trace-id: ") && answer.contains("/problems/content-too-large"),
        "{answer}"
    );
    let answer = raw(&world, &format!("{head}2\r\n{{}}\r\n0\r\n\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    let answer = raw(&world, &format!("{head}not a length\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("/problems/malformed-request"), "{answer}");
    Ok(())
}
