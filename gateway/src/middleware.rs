//! What every request passes through; [`crate::routes::app`] says in which order.

use std::{any::Any, panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    middleware::Next,
};
use futures::FutureExt;
use uuid::Uuid;

use crate::{error::Error, limits::client_address, problem::Problem, render::render};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

type Outcome = Result<ServiceResponse<BoxBody>, actix_web::Error>;

/// The name of one request: the caller's, or a new UUIDv7. Visible ASCII.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn of(request: &ServiceRequest) -> Self {
        let given = request.headers().get(X_REQUEST_ID).filter(|value| is_visible(value.as_bytes(), 128));
        Self(given.cloned().unwrap_or_else(|| {
            let mut text = Uuid::encode_buffer();
            // a UUID's letters can stand in a header
            HeaderValue::from_str(Uuid::now_v7().hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("-"))
        }))
    }
}

/// 1 to `most` visible ASCII characters.
pub(crate) fn is_visible(text: &[u8], most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// Takes `x-request-id` in, or makes one, and answers with it.
pub(crate) async fn request_id(request: ServiceRequest, next: Next<BoxBody>) -> Outcome {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.call(request).await?;
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    Ok(response)
}

/// One line a request, when its answer begins.
pub(crate) async fn access_log(request: ServiceRequest, next: Next<BoxBody>) -> Outcome {
    let begun = Instant::now();
    let response = next.call(request).await?;
    let request = response.request();
    let extensions = request.extensions();
    tracing::info!(
        method = request.method().as_str(),
        route = request.match_pattern().as_deref().unwrap_or_default(),
        path = request.path(),
        status = response.status().as_u16(),
        duration_ms = begun.elapsed().as_secs_f64() * 1e3,
        request_id = extensions.get::<RequestId>().map_or("", RequestId::as_str),
        client_address = client_address(request).map(|address| address.to_string()).unwrap_or_default(),
        "request"
    );
    drop(extensions);
    Ok(response)
}

/// What a browser is told of every answer, so that none of it runs, is framed, sniffed or kept.
/// <https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers>
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// What an answer may do in a browser, where a handler does not say.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Adds [`SECURITY_HEADERS`], and [`POLICY`] and `Cache-Control: no-store` where a handler says nothing about them.
pub(crate) async fn security_headers(request: ServiceRequest, next: Next<BoxBody>) -> Outcome {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, value);
    }
    for (name, value) in [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, HeaderValue::from_static("no-store"))] {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// Writes every answer from 400 on as problem+json.
pub(crate) async fn problems(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let mut response = next.call(request).await?;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return Ok(response.map_into_boxed_body());
    }
    let carried = response.response_mut().extensions_mut().remove::<Problem>();
    let problem = carried.unwrap_or_else(|| Problem::from(&Error::Framework(status)));
    let (request, plain) = response.into_parts();
    let mut rendered = render(&request, &problem);
    // what stands below may have said more, of limits or of origins
    for (name, value) in plain.headers() {
        if !rendered.headers().contains_key(name) {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(ServiceResponse::new(request, rendered))
}

/// Turns a panic into an answer. Stands around each resource, not around the application: the request, which the answer
/// needs, cannot be shared before it has been routed.
pub(crate) async fn panics(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let kept = request.request().clone();
    match AssertUnwindSafe(async { next.call(request).await }).catch_unwind().await {
        Ok(outcome) => outcome.map(ServiceResponse::map_into_boxed_body),
        Err(panic) => Ok(ServiceResponse::from_err(Error::Panicked(message(panic.as_ref())), kept)),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_is_ascii_without_spaces_and_within_bounds() {
        assert!(is_visible(b"a", 1) && is_visible(b"~!", 2));
        assert!(!is_visible(b"", 9) && !is_visible(b"ab", 1) && !is_visible(b"a b", 9) && !is_visible("é".as_bytes(), 9));
    }
}
