//! What is said of a request that cannot be read. actix-http answers it with a bare status before the application hears of
//! it, and has no hook for that; callers get a problem instead, as for every other request (RFC 9457).

use actix_http::StatusCode;
use actix_web::web::Bytes;
use serde_json::json;
use uuid::Uuid;

/// Longer than any bare answer.
const LONGEST: usize = 192;
/// All that a bare answer has after its first line.
const FIELDS: [&str; 3] = ["content-length: 0", "connection: ", "date: "];

/// Where in `bytes` a refusal without a word begins that they end with, and its status.
pub(super) fn bare_answer(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    const BEGIN: &[u8] = b"HTTP/1.";
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let start = from + bytes[from..].windows(BEGIN.len()).rposition(|window| window == BEGIN)?;
    let mut lines = std::str::from_utf8(&bytes[start..]).ok()?.trim_end().split("\r\n");
    let status: StatusCode = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_bare = lines.all(|line| FIELDS.iter().any(|field| line.starts_with(field)));
    (status.is_client_error() && is_bare).then_some((start, status))
}

/// The whole answer, and a line in the log by which it can be found.
pub(super) fn problem(status: StatusCode) -> Bytes {
    let (id, title) = (Uuid::now_v7(), status.canonical_reason().unwrap_or("Bad Request"));
    let detail = match status {
        StatusCode::REQUEST_TIMEOUT => "The request did not come in time.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "The request has more header fields, or longer ones, than are read.",
        _ => "This is no request of HTTP that can be read.",
    };
    tracing::info!(status = status.as_u16(), request_id = %id, "a request could not be read");
    let problem =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "request_id": id.to_string() });
    let body = problem.to_string();
    let length = body.len();
    let number = status.as_u16();
    Bytes::from(format!(
        "HTTP/1.1 {number} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nx-request-id: {id}\r\n\
        x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";

    #[test]
    fn only_a_refusal_without_a_word_at_the_end_is_one() {
        assert_eq!(bare_answer(BARE.as_bytes()), Some((0, StatusCode::REQUEST_TIMEOUT)));
        let after_another = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{BARE}");
        assert_eq!(bare_answer(after_another.as_bytes()), Some((after_another.len() - BARE.len(), StatusCode::REQUEST_TIMEOUT)));
        for other in [
            "",
            "\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            &BARE.replace("408", "200"),
            &BARE.replace("408", "503"),
            &BARE.replace("date", "etag"),
            &BARE.replace("length: 0", "length: 10"),
            &format!("{BARE}{{}}"),
        ] {
            assert_eq!(bare_answer(other.as_bytes()), None, "{other}");
        }
    }
}
