//! Lists, page by page; and the other values that stand in a path or a header.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    field::{Field, text_field},
    middleware::is_visible,
    query::{Params, QueryForm},
};

/// `?limit=&cursor=`
#[derive(Debug, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most items on the page.
    #[param(required = false, minimum = 1, maximum = 100, default = 20)]
    pub(crate) limit: u32,
    /// `next_cursor` of the page before; left out for the first.
    #[param(required = false, max_length = 512)]
    pub(crate) cursor: String,
}

struct Limit(u32);

impl Field for Limit {
    const ALLOWED: &'static str = "must be a whole number from 1 to 100";

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok().filter(|limit| (1..=100).contains(limit)).map(Self)
    }
}

text_field!(Cursor, 0 to 512, "must be the next_cursor of the page before");

impl QueryForm for PageQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (limit, cursor) = (limit(params, Self::DEFAULT_LIMIT), params.optional::<Cursor>("cursor"));
        Some(Self { limit: limit?, cursor: cursor?.map(|cursor| cursor.0).unwrap_or_default() })
    }
}

impl PageQuery {
    const DEFAULT_LIMIT: u32 = 20;
}

/// The parameter `limit`.
pub(crate) fn limit(params: &mut Params, default: u32) -> Option<u32> {
    params.optional::<Limit>("limit").map(|limit| limit.map_or(default, |limit| limit.0))
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of what a service answered with.
    pub(crate) fn of<S: TryInto<T>>(items: Vec<S>, next_page_token: String) -> Result<Self, S::Error> {
        let items = items.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { items, next_cursor: Some(next_page_token).filter(|token| !token.is_empty()) })
    }
}

/// The one value in a route's path, for example `{product_id}`.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: Field> FromRequest for InPath<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (name, text) = request.match_info().iter().next().unwrap_or_default();
        ready(T::read(&Value::from(text)).map(Self).ok_or_else(|| Error::wrong(name, T::ALLOWED)))
    }
}

/// `Idempotency-Key`, empty where there is none.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
pub(crate) struct IdempotencyKey(pub(crate) String);

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut given = request.headers().get_all("idempotency-key");
        let key = match (given.next(), given.next()) {
            (None, _) => Some(String::new()),
            (Some(key), None) if is_visible(key.as_bytes(), 255) => key.to_str().ok().map(ToOwned::to_owned),
            _ => None,
        };
        let allowed = "must be given once, with 1 to 255 visible ASCII characters";
        ready(key.map(Self).ok_or_else(|| Error::wrong("Idempotency-Key", allowed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<PageQuery, Error> {
        Params::read_query(query)
    }

    fn wrong(query: &str) -> Vec<String> {
        match read(query) {
            Err(Error::Invalid(violations)) => violations.list().iter().map(|violation| violation.field.clone()).collect(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(read("").unwrap(), PageQuery { limit: 20, cursor: String::new() });
        assert_eq!(read("cursor=a%2Bb&limit=100").unwrap(), PageQuery { limit: 100, cursor: "a+b".into() });
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        for query in ["limit=0", "limit=101", "limit=-1", "limit=1e2", "limit=", "limit=4294967297"] {
            assert_eq!(wrong(query), ["limit"], "{query}");
        }
        assert_eq!(wrong("limit=x&curser=1"), ["limit", "curser"]);
        assert_eq!(wrong("cursor=1&cursor=2"), ["cursor"]);
        assert_eq!(wrong("cursor=%00"), ["cursor"]);
    }
}
