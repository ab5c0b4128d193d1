//! Conditional requests (RFC 9110, section 13): an answer is named by its content and not sent again to whoever has it; a
//! change is made only to the version that its author has seen.

use std::{
    fmt::Display,
    future::{Ready, ready},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    dev::Payload,
    http::header::{CACHE_CONTROL, ETag, EntityTag, Header, IF_MATCH, IfMatch, IfNoneMatch},
};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Error;

/// 200 with JSON and its `ETag`, or 304 where `If-None-Match` names that. Caches may keep it and have to ask each time: prices
/// change.
pub(crate) struct Tagged<T> {
    content: T,
    tag: Option<EntityTag>,
}

impl<T> Tagged<T> {
    /// Named by a digest of its content.
    pub(crate) fn by_content(content: T) -> Self {
        Self { content, tag: None }
    }

    /// Named by its version, for `If-Match`.
    pub(crate) fn by_version(content: T, version: i64) -> Self {
        Self { content, tag: Some(tag_of(version)) }
    }

    /// Named by its version and by how many parts it has, which come and go without changing that.
    pub(crate) fn by_version_and_parts(content: T, version: i64, parts: impl Display) -> Self {
        Self { content, tag: Some(EntityTag::new_strong(format!("{version}-{parts}"))) }
    }
}

/// The `ETag` of a version.
pub(crate) fn tag_of(version: i64) -> EntityTag {
    EntityTag::new_strong(version.to_string())
}

impl<T: Serialize> Responder for Tagged<T> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let Ok(json) = serde_json::to_vec(&self.content) else {
            return Error::BrokenAnswer { service: "gateway", what: "a body" }.error_response();
        };
        let digest = || EntityTag::new_strong(Uuid::new_v5(&Uuid::NAMESPACE_OID, &json).simple().to_string());
        let tag = self.tag.unwrap_or_else(digest);
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

/// The version that `If-Match` asks for; none where the caller takes any.
pub(crate) struct ExpectedVersion(pub(crate) Option<i64>);

impl FromRequest for ExpectedVersion {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read_expected(request).map(Self))
    }
}

fn version_of(tag: &EntityTag) -> Option<i64> {
    let version = tag.tag().split_once('-').map_or(tag.tag(), |(version, _)| version);
    version.parse().ok()
}

fn read_expected(request: &HttpRequest) -> Result<Option<i64>, Error> {
    if !request.headers().contains_key(IF_MATCH) {
        return Ok(None);
    }
    let wrong = || Error::wrong("If-Match", "must be * or one ETag as a read of this resource gave it");
    match IfMatch::parse(request).map_err(|_| wrong())? {
        IfMatch::Any => Ok(None),
        IfMatch::Items(tags) => match tags.as_slice() {
            // strong comparison: a weak tag never matches (RFC 9110, section 13.1.1)
            [tag] if !tag.weak => Ok(Some(version_of(tag).ok_or_else(wrong)?)),
            _ => Err(wrong()),
        },
    }
}
