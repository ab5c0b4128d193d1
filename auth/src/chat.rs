//! Rooms, what is said in them, and what people ask for. No input or output.

use std::fmt;

use chassis::status::Violation;
use chrono::{DateTime, Utc};
use proto::auth::{ChatKind, ChatRequest, ChatResponse, chat_request};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{error::AuthError, user::timestamp};

const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 2_000;

/// A room's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Room(String);

impl Room {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let good = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        good.then(|| Self(text.to_owned()))
    }

    fn new(field: &str, text: &str) -> Result<Self, Violation> {
        let allowed = || Violation::new(field, format!("must be 1 to {MAX_NAME} letters, digits, `_`, `-` and `.`"));
        Self::read(text).ok_or_else(allowed)
    }
}

impl fmt::Display for Room {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What somebody asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Join(Room),
    Leave(Room),
    Say(Room, String),
}

impl Wish {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(request: ChatRequest) -> Result<Self, AuthError> {
        match request.request {
            Some(chat_request::Request::Join(room)) => Ok(Self::Join(Room::new("join", &room)?)),
            Some(chat_request::Request::Leave(room)) => Ok(Self::Leave(Room::new("leave", &room)?)),
            Some(chat_request::Request::Line(line)) => {
                let good = (1..=MAX_TEXT).contains(&line.text.chars().count());
                let text =
                    if good { Ok(line.text) } else { Err(Violation::new("line.text", format!("must be 1 to {MAX_TEXT} characters"))) };
                match (Room::new("line.room", &line.room), text) {
                    (Ok(room), Ok(text)) => Ok(Self::Say(room, text)),
                    (room, text) => Err(AuthError::Invalid(room.err().into_iter().chain(text.err()).collect())),
                }
            }
            None => Err(Violation::new("request", "must be a join, a leave or a line").into()),
        }
    }
}

/// What happened in a room, as it goes from replica to replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) room: Room,
    /// The stream that it came from.
    pub(crate) stream_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Line(String),
    Joined,
    Left,
}

impl From<&Notice> for ChatResponse {
    fn from(notice: &Notice) -> Self {
        let (kind, text) = match &notice.what {
            What::Line(text) => (ChatKind::Line, text.clone()),
            What::Joined => (ChatKind::Joined, String::new()),
            What::Left => (ChatKind::Left, String::new()),
        };
        Self {
            room: notice.room.to_string(),
            user_id: notice.user_id.to_string(),
            username: notice.username.clone(),
            text,
            sent_at: Some(timestamp(notice.sent_at)),
            kind: kind.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::auth::{ChatLine, chat_request::Request};

    use super::*;

    fn wish(request: Option<Request>) -> Result<Wish, Vec<String>> {
        Wish::new(ChatRequest { request }).map_err(|error| match error {
            AuthError::Invalid(violations) => violations.into_iter().map(|violation| violation.field).collect(),
            error => panic!("{error}"),
        })
    }

    fn line(room: &str, text: &str) -> Request {
        Request::Line(ChatLine { room: room.into(), text: text.into() })
    }

    #[test]
    fn every_wrong_field_is_named() {
        let named = |fields: &[&str]| Err(fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>());
        for name in ["", "a room", "ä", "a/b", "a*", &"x".repeat(65)] {
            assert_eq!(wish(Some(Request::Join(name.into()))), named(&["join"]));
            assert_eq!(wish(Some(Request::Leave(name.into()))), named(&["leave"]));
            assert_eq!(wish(Some(line(name, ""))), named(&["line.room", "line.text"]));
        }
        assert_eq!(wish(Some(line("a", &"ä".repeat(2_001)))), named(&["line.text"]));
        assert_eq!(wish(None), named(&["request"]));
        let text = "ä".repeat(2_000);
        assert_eq!(wish(Some(line("a", &text))), Ok(Wish::Say(Room("a".into()), text)));
        assert_eq!(wish(Some(Request::Join("A_b-c.9".into()))), Ok(Wish::Join(Room("A_b-c.9".into()))));
    }

    #[test]
    fn a_notice_reads_back_the_same() {
        let (room, stream_id, user_id) = (Room("a".into()), Uuid::nil(), Uuid::max());
        for what in [What::Line("\0 \" ä".into()), What::Joined, What::Left] {
            let notice = Notice { room: room.clone(), stream_id, user_id, username: "ada".into(), sent_at: Utc::now(), what };
            let text = serde_json::to_string(&notice).unwrap();
            assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice);
        }
    }
}
