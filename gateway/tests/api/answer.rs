//! An HTTP answer, and what holds for every one of them.

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    /// Reads the answer and checks the promises that all answers keep.
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Self { status, headers, json };
        answer.check();
        answer
    }

    fn check(&self) {
        assert!(!self.header("x-request-id").is_empty(), "{:?}", self.headers);
        let trace_id = self.header("x-trace-id");
        assert!(trace_id.len() == 32 && trace_id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{:?}", self.headers);
        for (name, value) in [("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
            assert_eq!(self.header(name), value, "{name}");
        }
        assert!(self.header("content-security-policy").contains("frame-ancestors 'none'"), "{:?}", self.headers);
        // an answer that may be kept has a name
        let kept = self.header("cache-control") == "no-cache";
        assert!(kept || self.header("cache-control") == "no-store", "{:?}", self.headers);
        assert!(!kept || !self.header("etag").is_empty(), "{:?}", self.headers);
        if self.status.is_success() || self.json.is_null() {
            return;
        }
        let problem = &self.json;
        assert_eq!(self.header("content-type"), "application/problem+json", "{problem}");
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        assert_eq!(problem["trace_id"], trace_id, "{problem}");
        for member in ["type", "title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing in {problem}");
        }
        assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{problem}");
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and last part of `type`.
    pub(crate) fn problem(&self) -> (u16, &str) {
        let name = self.json["type"].as_str().and_then(|name| name.strip_prefix("/problems/"));
        (self.status.as_u16(), name.unwrap_or_default())
    }

    /// `field` of all `errors`.
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.json["errors"].as_array().into_iter().flatten().filter_map(|error| error["field"].as_str()).collect()
    }

    pub(crate) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }
}
