//! Pictures as they come and go: chunk by chunk.

use chassis::status::Violation;
use futures::{Stream, StreamExt, stream};
use proto::auth::{GetAvatarResponse, SetAvatarRequest, get_avatar_response, set_avatar_request::Part};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    avatar::{MAX_BYTES, Picture, too_large},
    error::AuthError,
    store::avatars::Avatar,
    user::{read_id, timestamp},
};

/// Bytes of a chunk that is sent.
const CHUNK: usize = 64 << 10;

/// Reads a picture. Nothing is read for whom it is not `allowed`, nor beyond what a picture may have.
pub(crate) async fn receive(
    mut parts: impl Stream<Item = Result<SetAvatarRequest, Status>> + Unpin,
    allowed: impl FnOnce(Uuid) -> Result<(), AuthError>,
) -> Result<(Uuid, Picture), Status> {
    let user_id = match next(&mut parts).await? {
        Some(Part::UserId(text)) => read_id("user_id", &text).map_err(AuthError::from)?,
        _ => return Err(AuthError::from(Violation::new("user_id", "must be the first message")).into()),
    };
    allowed(user_id)?;
    let mut bytes = Vec::new();
    while let Some(part) = next(&mut parts).await? {
        let Part::Chunk(chunk) = part else {
            return Err(AuthError::from(Violation::new("user_id", "must be sent once")).into());
        };
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(AuthError::from(too_large()).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((user_id, Picture::new(bytes).map_err(AuthError::from)?))
}

async fn next(parts: &mut (impl Stream<Item = Result<SetAvatarRequest, Status>> + Unpin)) -> Result<Option<Part>, Status> {
    match parts.next().await {
        None => Ok(None),
        Some(Ok(message)) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(AuthError::from(Violation::new("part", "must be a user_id or a chunk")).into()),
        },
        // a message beyond the limit of all messages
        Some(Err(status)) if status.code() == Code::OutOfRange => Err(AuthError::from(too_large()).into()),
        Some(Err(status)) => Err(status),
    }
}

/// A picture's description, and then the picture.
pub(crate) fn send(avatar: Avatar) -> impl Stream<Item = Result<GetAvatarResponse, Status>> + Send + 'static {
    let description = get_avatar_response::Part::Avatar((&avatar).into());
    let bytes = avatar.bytes;
    let chunks = (0..bytes.len()).step_by(CHUNK).map(move |start| {
        let end = bytes.len().min(start + CHUNK);
        get_avatar_response::Part::Chunk(bytes[start..end].to_vec())
    });
    stream::iter([description].into_iter().chain(chunks).map(|part| Ok(GetAvatarResponse { part: Some(part) })))
}

impl From<&Avatar> for proto::auth::Avatar {
    fn from(avatar: &Avatar) -> Self {
        Self {
            media_type: avatar.media_type.clone(),
            size: u32::try_from(avatar.bytes.len()).unwrap_or(u32::MAX),
            sha256: avatar.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            updated_at: Some(timestamp(avatar.updated_at)),
        }
    }
}
