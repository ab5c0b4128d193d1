//! Lists, page by page; and the other values that stand in a URL or a header.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Query};
use serde::Serialize;
use serde_json::Value;

use crate::{error::Error, field::Field, middleware::is_visible, problem::Violations};

/// `?limit=&cursor=`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// 1 to 100.
    pub(crate) limit: u32,
    /// `next_cursor` of the page before; empty for the first.
    pub(crate) cursor: String,
}

/// One page of a list.
#[derive(Serialize)]
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

impl PageQuery {
    const DEFAULT_LIMIT: u32 = 20;

    fn read(query: &str) -> Result<Self, Error> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| Error::Malformed(format!("The query cannot be read: {error}.")))?;
        let mut violations = Violations::default();
        let (mut limit, mut cursor) = (None, None);
        for (name, value) in pairs.into_inner() {
            let place = match name.as_str() {
                "limit" => &mut limit,
                "cursor" => &mut cursor,
                _ => {
                    violations.add_unknown(name, &["limit", "cursor"]);
                    continue;
                }
            };
            if place.replace(value).is_some() {
                violations.add(name, "must be given once");
            }
        }
        let limit = limit.map_or(Some(Self::DEFAULT_LIMIT), |text| text.parse().ok().filter(|limit| (1..=100).contains(limit)));
        match limit {
            Some(limit) if violations.is_empty() => Ok(Self { limit, cursor: cursor.unwrap_or_default() }),
            Some(_) => Err(Error::Invalid(violations)),
            None => {
                violations.add("limit", "must be a whole number from 1 to 100");
                Err(Error::Invalid(violations))
            }
        }
    }
}

impl FromRequest for PageQuery {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.query_string()))
    }
}

/// The one value in a route's path, for example `{product_id}`.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: Field> FromRequest for InPath<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (name, text) = request.match_info().iter().next().unwrap_or_default();
        ready(T::read(&Value::from(text)).map(Self).ok_or_else(|| {
            let mut violations = Violations::default();
            violations.add(name, T::ALLOWED);
            Error::Invalid(violations)
        }))
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
        ready(key.map(Self).ok_or_else(|| {
            let mut violations = Violations::default();
            violations.add("Idempotency-Key", "must be given once, with 1 to 255 visible ASCII characters");
            Error::Invalid(violations)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(query: &str) -> Vec<String> {
        match PageQuery::read(query) {
            Err(Error::Invalid(violations)) => violations.list().iter().map(|violation| violation.field.clone()).collect(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(PageQuery::read("").unwrap(), PageQuery { limit: 20, cursor: String::new() });
        assert_eq!(PageQuery::read("cursor=a%2Bb&limit=100").unwrap(), PageQuery { limit: 100, cursor: "a+b".into() });
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        for query in ["limit=0", "limit=101", "limit=-1", "limit=1e2", "limit=", "limit=4294967297"] {
            assert_eq!(wrong(query), ["limit"], "{query}");
        }
        assert_eq!(wrong("limit=x&curser=1"), ["curser", "limit"]);
        assert_eq!(wrong("cursor=1&cursor=2"), ["cursor"]);
    }
}
