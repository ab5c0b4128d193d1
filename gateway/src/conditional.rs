//! Conditional reads (RFC 9110, section 13): an answer is named by its content, and not sent again to whoever has it.

use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    http::header::{CACHE_CONTROL, ETag, EntityTag, Header, IfNoneMatch},
};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Error;

/// 200 with JSON and its `ETag`, or 304 where `If-None-Match` names that. Caches may keep it and have to ask each time: prices
/// change.
pub(crate) struct Tagged<T>(pub(crate) T);

impl<T: Serialize> Responder for Tagged<T> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let Ok(json) = serde_json::to_vec(&self.0) else {
            return Error::BrokenAnswer { service: "gateway", what: "a body" }.error_response();
        };
        let tag = EntityTag::new_strong(Uuid::new_v5(&Uuid::NAMESPACE_OID, &json).simple().to_string());
        let known = is_known(&tag, request);
        let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header(ETag(tag)).insert_header((CACHE_CONTROL, "no-cache"));
        if known { response.finish() } else { response.content_type("application/json").body(json) }
    }
}

/// A header that cannot be read names nothing.
fn is_known(tag: &EntityTag, request: &HttpRequest) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}
