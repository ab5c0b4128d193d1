//! Somebody who talks and listens.

use proto::auth::{ChatKind, ChatLine, ChatRequest, ChatResponse, chat_request::Request as Wish, user_service_client::UserServiceClient};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::world::{Person, World};

const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// A stream of somebody's.
pub(crate) struct Talk {
    pub(crate) says: mpsc::Sender<ChatRequest>,
    pub(crate) hears: Streaming<ChatResponse>,
}

/// Kind, room, who and what.
pub(crate) type Heard = (ChatKind, String, String, String);

impl Talk {
    pub(crate) async fn open<S>(users: &mut UserServiceClient<S>, person: &Person) -> Result<Self, Status>
    where
        S: tonic::client::GrpcService<tonic::body::Body>,
        S::Error: Into<tonic::codegen::StdError>,
        S::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
        <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
    {
        let (says, requests) = mpsc::channel(64);
        let hears = users.chat(person.says(ReceiverStream::new(requests))).await?.into_inner();
        Ok(Self { says, hears })
    }

    pub(crate) async fn begin(world: &World, person: &Person) -> Self {
        Self::open(&mut world.users(), person).await.unwrap()
    }

    pub(crate) async fn wish(&self, request: Option<Wish>) {
        self.says.send(ChatRequest { request }).await.unwrap();
    }

    pub(crate) async fn join(&self, room: &str) {
        self.wish(Some(Wish::Join(room.into()))).await;
    }

    pub(crate) async fn leave(&self, room: &str) {
        self.wish(Some(Wish::Leave(room.into()))).await;
    }

    pub(crate) async fn say(&self, room: &str, text: &str) {
        self.wish(Some(Wish::Line(ChatLine { room: room.into(), text: text.into() }))).await;
    }

    /// What is said next; none where that was all.
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, Status> {
        let message = timeout(PATIENCE, self.hears.message()).await.expect("something is said, or an end")?;
        Ok(message.map(|it| {
            assert!(it.sent_at.is_some());
            (it.kind(), it.room, it.username, it.text)
        }))
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        self.next().await.unwrap().expect("no end")
    }

    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("an end without a reason"),
                Err(status) => return status,
            }
        }
    }

    pub(crate) async fn enter(&mut self, room: &str, name: &str) {
        self.join(room).await;
        assert_eq!(self.hear().await, joined(room, name));
    }
}

pub(crate) fn joined(room: &str, name: &str) -> Heard {
    (ChatKind::Joined, room.into(), name.into(), String::new())
}

pub(crate) fn left(room: &str, name: &str) -> Heard {
    (ChatKind::Left, room.into(), name.into(), String::new())
}

pub(crate) fn line(room: &str, name: &str, text: &str) -> Heard {
    (ChatKind::Line, room.into(), name.into(), text.into())
}
