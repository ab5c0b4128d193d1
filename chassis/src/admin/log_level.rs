//! `/log-level` on the admin port: GET shows what is logged, PUT changes it until the process ends.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use telemetry::logs::{self, LevelError, LogConfig};

use super::problem;

/// The route; PUT is refused where `log.live` is false.
pub(super) fn routes(config: &LogConfig) -> Router {
    Router::new().route("/log-level", get(show).put(change)).with_state(config.live)
}

async fn show(State(live): State<bool>) -> Response {
    Json(shown(live)).into_response()
}

fn shown(live: bool) -> Value {
    json!({ "level": logs::level(), "live": live })
}

async fn change(State(live): State<bool>, body: Bytes) -> Response {
    if !live {
        return problem(StatusCode::FORBIDDEN, "levels cannot be changed while the process runs: log.live is false");
    }
    let wanted = match read(&body) {
        Ok(wanted) => wanted,
        Err(reason) => return problem(StatusCode::BAD_REQUEST, &reason),
    };
    match logs::set_level(&wanted) {
        Ok(before) => {
            tracing::warn!(before, level = wanted, "log level changed");
            Json(shown(live)).into_response()
        }
        Err(error @ LevelError::Malformed(_)) => problem(StatusCode::BAD_REQUEST, &format!("{error}: it must be {}", logs::ALLOWED)),
        Err(error @ LevelError::NotStarted) => problem(StatusCode::CONFLICT, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    level: String,
}

/// `{"level": "debug"}`, or the level alone as text.
fn read(body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body must be text".to_owned())?.trim();
    if !text.starts_with('{') {
        return Ok(text.to_owned());
    }
    serde_json::from_str::<Wanted>(text).map(|wanted| wanted.level).map_err(|error| format!("the body must be {{\"level\": ...}}: {error}"))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;

    use super::*;

    async fn answer(live: bool, method: &str, body: &'static str) -> (StatusCode, Value) {
        let config = LogConfig { live, ..LogConfig::default() };
        let request = Request::builder().method(method).uri("/log-level").body(Body::from(body)).unwrap();
        let response = routes(&config).oneshot(request).await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&to_bytes(response.into_body(), 4 << 10).await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_level_is_shown_changed_by_text_or_json_and_checked() {
        logs::start(&LogConfig { level: "error".into(), ..LogConfig::default() }, "test").unwrap();
        assert_eq!(answer(true, "GET", "").await, (StatusCode::OK, json!({ "level": "error", "live": true })));
        for (body, level) in [("debug\n", "debug"), ("{\"level\": \"info,chassis=trace\"}", "info,chassis=trace")] {
            assert_eq!(answer(true, "PUT", body).await, (StatusCode::OK, json!({ "level": level, "live": true })));
        }
        assert!(tracing::enabled!(target: "chassis", tracing::Level::TRACE) && !tracing::enabled!(target: "other", tracing::Level::DEBUG));
        for bad in ["", "debgu", "{\"level\": \"loud\"}", "{\"level\": 3}", "{\"levels\": \"info\"}", "info,x="] {
            let (status, problem) = answer(true, "PUT", bad).await;
            assert_eq!((status, &problem["status"]), (StatusCode::BAD_REQUEST, &json!(400)), "{bad}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        }
        let (_, problem) = answer(true, "PUT", "debgu").await;
        assert!(problem["detail"].as_str().unwrap().contains("error, warn, info, debug"), "{problem}");
        assert_eq!(answer(false, "PUT", "debug").await.0, StatusCode::FORBIDDEN);
        assert_eq!(answer(false, "GET", "").await.1, json!({ "level": "info,chassis=trace", "live": false }));
        logs::set_level("error").unwrap();
    }
}
