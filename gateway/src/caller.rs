//! Who is calling.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION};

use crate::{error::Error, middleware::is_visible, upstream::Calls};

/// The user whose access token came with the request and is valid right now.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) username: String,
    pub(crate) email: String,
}

/// What a caller sends, read only once it is known who calls: a stranger learns nothing about what is valid, and costs
/// no reading.
pub(crate) struct ByCaller<T> {
    pub(crate) caller: Caller,
    pub(crate) input: T,
}

impl Caller {
    async fn of(request: HttpRequest) -> Result<Self, Error> {
        let calls = Calls::of(&request)?;
        let valid = calls.validate_token(bearer_token(&request)?).await?;
        Ok(Self { user_id: valid.user_id, username: valid.username, email: valid.email })
    }
}

/// The token of `Authorization: Bearer TOKEN`. RFC 6750, section 2.1.
fn bearer_token(request: &HttpRequest) -> Result<String, Error> {
    const MOST_CHARACTERS: usize = 8192;
    let credentials = request.headers().get(AUTHORIZATION).ok_or(Error::NoToken)?.to_str().map_err(|_| Error::NoSuchToken)?;
    let (scheme, token) = credentials.split_once(' ').unwrap_or((credentials, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::NoToken);
    }
    let token = token.trim();
    if is_visible(token.as_bytes(), MOST_CHARACTERS) { Ok(token.to_owned()) } else { Err(Error::NoSuchToken) }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Self::of(request.clone()))
    }
}

impl<T: FromRequest + 'static> FromRequest for ByCaller<T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let caller = Caller::of(request.clone()).await?;
            let input = T::from_request(&request, &mut payload).await.map_err(Into::into)?;
            Ok(Self { caller, input })
        })
    }
}
