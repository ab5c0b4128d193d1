//! Avatars: streamed from the client to auth and back, never held as a whole.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, EntityTag},
    web::Bytes,
};
use futures::{StreamExt, stream};
use proto::auth::{Avatar as ProtoAvatar, GetAvatarResponse, SetAvatarRequest, get_avatar_response, set_avatar_request};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use utoipa::ToSchema;

use crate::{
    config::Limits,
    error::Error,
    time::moment,
    upstream::{AUTH, Calls, failed},
    user::UserId,
};

/// Bytes of a picture.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// Parts that wait to be sent.
const AHEAD: usize = 4;

/// The form of `POST /users/{user_id}/avatar`
#[derive(ToSchema)]
#[allow(dead_code, reason = "shape of the multipart body, for the document")]
pub(crate) struct Upload {
    /// PNG or JPEG by content, at most 1 MiB.
    #[schema(value_type = String, format = Binary)]
    avatar: Vec<u8>,
}

/// What is known of a picture.
#[derive(Serialize, ToSchema)]
pub(crate) struct Avatar {
    /// `image/png` or `image/jpeg`.
    media_type: String,
    /// Bytes.
    size: u32,
    /// Lower-case hexadecimal.
    sha256: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl TryFrom<Option<ProtoAvatar>> for Avatar {
    type Error = Error;

    fn try_from(avatar: Option<ProtoAvatar>) -> Result<Self, Error> {
        let ProtoAvatar { media_type, size, sha256, updated_at } = avatar.ok_or(Error::BrokenAnswer { service: AUTH, what: "avatar" })?;
        Ok(Self { media_type, size, sha256, updated_at: moment(updated_at, AUTH, "avatar.updated_at")? })
    }
}

/// A multipart body is required before anything of it is read.
pub(crate) fn require_multipart(request: &HttpRequest) -> Result<(), Error> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let multipart = content_type.get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data"));
    if multipart { Ok(()) } else { Err(Error::UnsupportedMediaType { allowed: "multipart/form-data" }) }
}

/// Sends the part `avatar` of the body on while it comes.
pub(crate) async fn upload(calls: &Calls, limits: Limits, user: UserId, mut body: Multipart) -> Result<Avatar, Error> {
    let picture = loop {
        let part = body.next().await.ok_or_else(|| Error::wrong("avatar", "is missing; must be a file"))?.map_err(malformed)?;
        if part.name() == Some("avatar") {
            break part;
        }
    };
    let (parts, sent) = mpsc::channel(AHEAD);
    let call = calls.set_avatar(limits.request_timeout(), ReceiverStream::new(sent));
    let (pumped, answer) = futures::join!(pump(user, picture, parts), call);
    // what the client did wrong explains what auth says of a picture that was cut off
    pumped?;
    answer?.avatar.try_into()
}

async fn pump(user: UserId, mut picture: Field, parts: mpsc::Sender<SetAvatarRequest>) -> Result<(), Error> {
    let part = |part| SetAvatarRequest { part: Some(part) };
    let mut bytes = 0;
    // a receiver that is gone has answered
    if parts.send(part(set_avatar_request::Part::UserId(user.into()))).await.is_err() {
        return Ok(());
    }
    while let Some(chunk) = picture.next().await {
        let chunk = chunk.map_err(malformed)?;
        bytes += chunk.len();
        if bytes > MOST_BYTES {
            return Err(Error::ContentTooLarge { limit: MOST_BYTES });
        }
        if parts.send(part(set_avatar_request::Part::Chunk(chunk.to_vec()))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn malformed(error: MultipartError) -> Error {
    Error::Malformed(format!("The multipart body cannot be read: {error}."))
}

/// Answers with the picture while it comes.
pub(crate) async fn download(mut parts: Streaming<GetAvatarResponse>) -> Result<HttpResponse, Error> {
    let first = parts.message().await.map_err(|status| failed(AUTH, status))?.and_then(|message| message.part);
    let Some(get_avatar_response::Part::Avatar(avatar)) = first else {
        return Err(Error::BrokenAnswer { service: AUTH, what: "avatar" });
    };
    let chunks = stream::unfold(parts, async |mut parts| {
        let chunk = match parts.message().await {
            Ok(message) => match message?.part? {
                get_avatar_response::Part::Chunk(chunk) => Ok(Bytes::from(chunk)),
                get_avatar_response::Part::Avatar(_) => Err(std::io::Error::other("two descriptions")),
            },
            Err(status) => Err(std::io::Error::other(status)),
        };
        Some((chunk, parts))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, avatar.media_type))
        .insert_header((CONTENT_LENGTH, avatar.size))
        .insert_header((ETAG, EntityTag::new_strong(avatar.sha256).to_string()))
        .insert_header(("cache-control", "private, no-cache"))
        .streaming(Box::pin(chunks)))
}
