//! Rooms across replicas, by Redis' publish and subscribe. One connection of the process hears all rooms and hands what it
//! hears to the streams here that have joined; a room that nobody here has joined takes no memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bb8_redis::redis::AsyncCommands;
use chassis::{
    Process, StartError,
    redis::{
        Redis, RedisConfig,
        subscription::{self, Audience, Channels},
    },
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    chat::{Notice, Room},
    error::AuthError,
};

/// Clones share the rooms.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

struct Shared {
    /// What the channel of each room begins with.
    prefix: String,
    /// While Redis is heard: cancelled when it is not heard any more.
    heard: watch::Sender<Option<CancellationToken>>,
    /// How long somebody waits for a connection that is being opened.
    patience: Duration,
    seats: Mutex<HashMap<Room, HashMap<Uuid, Seat>>>,
}

/// A stream's place in a room.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) inbox: mpsc::Sender<Arc<Notice>>,
    /// Cancelled where the inbox was full.
    pub(crate) too_slow: CancellationToken,
}

impl Rooms {
    /// Listens on the current runtime until the process stops.
    pub(crate) fn start(config: &RedisConfig, key_prefix: &str, process: &Process) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            prefix: format!("{key_prefix}chat:"),
            heard: watch::Sender::new(None),
            patience: Duration::from_millis(config.connect_timeout_ms + config.response_timeout_ms),
            seats: Mutex::default(),
        });
        let (rooms, channels) = (Self(Arc::clone(&shared)), Channels::Under(shared.prefix.clone()));
        subscription::listen(config, channels, "rooms", rooms, process)?;
        Ok(Self(shared))
    }

    /// A token that is cancelled when something may have been missed.
    pub(crate) async fn heard(&self) -> Result<CancellationToken, AuthError> {
        let mut heard = self.0.heard.subscribe();
        let found = timeout(self.0.patience, heard.wait_for(Option::is_some)).await;
        let token = found.ok().and_then(Result::ok).and_then(|found| found.clone());
        token.ok_or_else(|| AuthError::Unavailable("redis: the rooms are not heard".into()))
    }

    /// What is said in the room from now on comes to the seat.
    pub(crate) fn enter(&self, room: &Room, stream_id: Uuid, seat: Seat) {
        self.0.seats().entry(room.clone()).or_default().insert(stream_id, seat);
    }

    pub(crate) fn leave(&self, room: &Room, stream_id: Uuid) {
        self.0.remove(room, stream_id);
    }

    /// Says something in a room, in all replicas.
    pub(crate) async fn say(&self, redis: &Redis, notice: &Notice) -> Result<(), AuthError> {
        let text = serde_json::to_string(notice)?;
        let _: usize = redis.connection().await?.publish(format!("{}{}", self.0.prefix, notice.room), text).await?;
        Ok(())
    }
}

impl Shared {
    /// A panic of another holder leaves nothing half-done in here.
    fn seats(&self) -> MutexGuard<'_, HashMap<Room, HashMap<Uuid, Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, room: &Room, stream_id: Uuid) {
        let mut seats = self.seats();
        if let Some(seats_here) = seats.get_mut(room) {
            seats_here.remove(&stream_id);
            if seats_here.is_empty() {
                seats.remove(room);
            }
        }
    }

    fn hand_out(&self, message: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(message) else { return };
        let notice = Arc::new(notice);
        let mut seats = self.seats();
        let Some(seats_here) = seats.get_mut(&notice.room) else { return };
        seats_here.retain(|_, seat| match seat.inbox.try_send(Arc::clone(&notice)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                seat.too_slow.cancel();
                false
            }
        });
        if seats_here.is_empty() {
            seats.remove(&notice.room);
        }
    }
}

impl Audience for Rooms {
    fn begin(&self) {
        self.0.heard.send_replace(Some(CancellationToken::new()));
    }

    fn hear(&self, _: &str, message: &[u8]) {
        self.0.hand_out(message);
    }

    fn end(&self) {
        if let Some(lost) = self.0.heard.send_replace(None) {
            lost.cancel();
        }
    }
}
