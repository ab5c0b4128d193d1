//! One `Chat` stream.

use std::{collections::BTreeSet, sync::Arc};

use chassis::redis::Redis;
use chrono::Utc;
use futures::{Stream, StreamExt, future::join_all};
use proto::auth::{ChatRequest, ChatResponse};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::{
    caller::Caller,
    chat::{Notice, Room, What, Wish},
    error::AuthError,
    rooms::{Rooms, Seat},
    session::Sessions,
};

/// Rooms of one stream.
const MAX_ROOMS: usize = 32;

type Output = mpsc::Sender<Result<ChatResponse, Status>>;

/// Somebody in rooms.
pub(crate) struct Conversation {
    caller: Caller,
    rooms: Rooms,
    redis: Redis,
    sessions: Sessions,
    stream_id: Uuid,
    joined: BTreeSet<Room>,
    /// Rooms of which the first word has come: the notice that one has joined. What was said before it is not for this stream.
    arrived: BTreeSet<Room>,
    /// Rooms whose last words are still on their way.
    leaving: BTreeSet<Room>,
    seat: Seat,
}

impl Conversation {
    /// Somebody in no room yet, and what is going to be said to them: `buffer` notices at most that they have not read.
    pub(crate) fn new(
        caller: Caller,
        rooms: Rooms,
        redis: Redis,
        sessions: Sessions,
        buffer: usize,
    ) -> (Self, mpsc::Receiver<Arc<Notice>>) {
        let (inbox, notices) = mpsc::channel(buffer);
        let seat = Seat { inbox, too_slow: CancellationToken::new() };
        let [joined, arrived, leaving] = [const { BTreeSet::new() }; 3];
        (Self { caller, rooms, redis, sessions, stream_id: Uuid::now_v7(), joined, arrived, leaving, seat }, notices)
    }

    /// Talks until the client has said all and heard the end of it, goes away, or one of `end`, `missed` (something was) and its
    /// own slowness comes first; then leaves all rooms. `farewell` is a place in `output` for the reason.
    pub(crate) async fn run(
        mut self,
        requests: impl Stream<Item = Result<ChatRequest, Status>> + Unpin,
        notices: mpsc::Receiver<Arc<Notice>>,
        (output, farewell): (Output, OwnedPermit<Result<ChatResponse, Status>>),
        end: impl Future<Output = AuthError>,
        missed: CancellationToken,
    ) {
        let too_slow = self.seat.too_slow.clone();
        let outcome = tokio::select! {
            biased;
            () = output.closed() => Ok(()),
            error = end => Err(error.into()),
            () = too_slow.cancelled() => Err(AuthError::SubscriberTooSlow.into()),
            () = missed.cancelled() => Err(AuthError::Unavailable("redis: the rooms are not heard any more".into()).into()),
            outcome = self.talk(requests, notices, &output) => outcome,
        };
        self.leave_all().await;
        if let Err(status) = outcome {
            farewell.send(Err(status));
        }
    }

    async fn talk(
        &mut self,
        mut requests: impl Stream<Item = Result<ChatRequest, Status>> + Unpin,
        mut notices: mpsc::Receiver<Arc<Notice>>,
        output: &Output,
    ) -> Result<(), Status> {
        let mut is_open = true;
        while is_open || !self.leaving.is_empty() {
            tokio::select! {
                Some(notice) = notices.recv() => self.hear(&notice, output).await,
                // one who leaves and comes again must not take the old end for the new one's
                request = requests.next(), if is_open && self.leaving.is_empty() => match request {
                    Some(Ok(request)) => self.follow(Wish::new(request)?).await?,
                    Some(Err(status)) => return Err(status),
                    None => {
                        is_open = false;
                        for room in self.joined.clone() {
                            self.leave(room).await?;
                        }
                    }
                },
            }
        }
        Ok(())
    }

    async fn hear(&mut self, notice: &Notice, output: &Output) {
        let is_own = notice.stream_id == self.stream_id;
        if is_own && notice.what == What::Joined {
            self.arrived.insert(notice.room.clone());
        }
        if !self.arrived.contains(&notice.room) {
            return;
        }
        if is_own && notice.what == What::Left && self.leaving.remove(&notice.room) {
            self.arrived.remove(&notice.room);
            self.rooms.leave(&notice.room, self.stream_id);
        }
        // an error means that nobody reads any more, which ends it elsewhere
        let _ = output.send(Ok(notice.into())).await;
    }

    async fn follow(&mut self, wish: Wish) -> Result<(), AuthError> {
        if !self.sessions.touch(self.caller.session_id, self.caller.user_id).await? {
            return Err(AuthError::SessionEnded);
        }
        match wish {
            Wish::Join(room) => self.join(room).await,
            Wish::Leave(room) => self.leave(room).await,
            Wish::Say(room, text) if self.joined.contains(&room) => self.say(room, What::Line(text)).await,
            Wish::Say(room, _) => Err(AuthError::RoomNotJoined(room.to_string())),
        }
    }

    async fn join(&mut self, room: Room) -> Result<(), AuthError> {
        if self.joined.contains(&room) {
            return Ok(());
        }
        if self.joined.len() >= MAX_ROOMS {
            return Err(AuthError::TooManyRooms(MAX_ROOMS));
        }
        self.joined.insert(room.clone());
        // before it is told: who hears of it hears all that follows
        self.rooms.enter(&room, self.stream_id, self.seat.clone());
        self.say(room, What::Joined).await
    }

    /// The seat stays until the notice of it has come back, as the last from the room.
    async fn leave(&mut self, room: Room) -> Result<(), AuthError> {
        if self.joined.remove(&room) {
            self.leaving.insert(room.clone());
            self.say(room, What::Left).await?;
        }
        Ok(())
    }

    async fn say(&self, room: Room, what: What) -> Result<(), AuthError> {
        self.rooms.say(&self.redis, &self.notice(room, what)).await
    }

    fn notice(&self, room: Room, what: What) -> Notice {
        let Caller { user_id, username, .. } = &self.caller;
        Notice { room, stream_id: self.stream_id, user_id: *user_id, username: username.clone(), sent_at: Utc::now(), what }
    }

    /// Gives up all seats, and tells those who stay.
    async fn leave_all(&mut self) {
        for room in self.joined.iter().chain(&self.leaving) {
            self.rooms.leave(room, self.stream_id);
        }
        let notices: Vec<_> = std::mem::take(&mut self.joined).into_iter().map(|room| self.notice(room, What::Left)).collect();
        // where Redis is away they have lost the room themselves
        let _ = join_all(notices.iter().map(|notice| self.rooms.say(&self.redis, notice))).await;
    }
}
