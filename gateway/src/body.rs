//! The request body.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web::{BytesMut, Data},
};
use futures::StreamExt;
use serde_json::Value;

use crate::{
    config::Limits,
    error::Error,
    field::{Form, Object},
};

/// The body as JSON, all of whose fields are known and right.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: Form + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            require_json(&request)?;
            let limit = request.app_data::<Data<Limits>>().map_or(0, |limits| limits.body_bytes);
            let bytes = read(&request, payload, limit).await?;
            let value: Value =
                serde_json::from_slice(&bytes).map_err(|error| Error::Malformed(format!("The body is not valid JSON: {error}.")))?;
            Object::read_body(&value).map(Self).map_err(Error::Invalid)
        })
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Error> {
    let plain = request.headers().get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let json = request.content_type().eq_ignore_ascii_case("application/json");
    if plain && json { Ok(()) } else { Err(Error::UnsupportedMediaType { allowed: "application/json" }) }
}

async fn read(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<BytesMut, Error> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Error::ContentTooLarge { limit });
    }
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::Malformed("The body ends early or is framed wrongly.".into()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Error::ContentTooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
