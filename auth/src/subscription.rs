//! `StreamEvents`: what happens to users and sessions, for those who want to know and may.

use std::collections::HashSet;

use chassis::status::Violation;
use events::{
    contract::{UserCreated, UserDeleted, UserLoggedIn, UserLoggedOut, UserUpdated},
    envelope::{Envelope, Event},
    tail::AnyEvent,
};
use futures::{Stream, future::BoxFuture, stream};
use proto::auth::{StreamEventsRequest, StreamEventsResponse};
use serde_json::Value;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tonic::Status;
use uuid::Uuid;

use crate::{caller::Caller, error::AuthError, session::Sessions, user::timestamp};

const TYPES: [&str; 5] = [UserCreated::TYPE, UserUpdated::TYPE, UserDeleted::TYPE, UserLoggedIn::TYPE, UserLoggedOut::TYPE];

/// Which events somebody gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Empty: all.
    types: HashSet<&'static str>,
    /// None: everybody's.
    user_id: Option<Uuid>,
}

impl Filter {
    pub(crate) fn new(request: &StreamEventsRequest, caller: &Caller) -> Result<Self, AuthError> {
        let (mut types, mut violations) = (HashSet::new(), Vec::new());
        for (index, wanted) in request.event_types.iter().enumerate() {
            match TYPES.into_iter().find(|known| known == wanted) {
                Some(known) => drop(types.insert(known)),
                None => violations.push(Violation::new(format!("event_types[{index}]"), format!("must be one of {}", TYPES.join(", ")))),
            }
        }
        let user_id = if caller.is_admin() { None } else { Some(caller.user_id) };
        if violations.is_empty() { Ok(Self { types, user_id }) } else { Err(AuthError::Invalid(violations)) }
    }

    fn lets_pass(&self, event: &Envelope<Value>) -> bool {
        let kind = event.event_type.as_str();
        TYPES.contains(&kind)
            && (self.types.is_empty() || self.types.contains(kind))
            && self.user_id.is_none_or(|user_id| user_id == event.aggregate_id)
    }
}

/// One stream.
pub(crate) struct Subscription {
    pub(crate) caller: Caller,
    pub(crate) filter: Filter,
    pub(crate) events: Receiver<AnyEvent>,
    pub(crate) sessions: Sessions,
    /// Why it ends by itself.
    pub(crate) end: BoxFuture<'static, AuthError>,
}

impl Subscription {
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<StreamEventsResponse, Status>> + Send + 'static {
        stream::unfold(Some(self), |subscription| async {
            let mut subscription = subscription?;
            match subscription.next().await {
                Ok(response) => Some((Ok(response), Some(subscription))),
                Err(error) => Some((Err(error.into()), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<StreamEventsResponse, AuthError> {
        loop {
            let event = tokio::select! {
                biased;
                error = &mut self.end => return Err(error),
                event = self.events.recv() => event,
            };
            let event = match event {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => return Err(AuthError::SubscriberTooSlow),
                Err(RecvError::Closed) => return Err(AuthError::Stopping),
            };
            if may_end_a_session(&event, self.caller.user_id) {
                self.look_at_session();
            }
            if self.filter.lets_pass(&event) {
                return Ok(response(&event));
            }
        }
    }

    /// Looks at once, and not when it is time, whether the session is alive.
    fn look_at_session(&mut self) {
        let (sessions, caller) = (self.sessions.clone(), self.caller.clone());
        let usual = std::mem::replace(&mut self.end, Box::pin(std::future::pending()));
        self.end = Box::pin(async move {
            match sessions.is_alive(caller.session_id, caller.user_id).await {
                Ok(false) => AuthError::SessionEnded,
                _ => usual.await,
            }
        });
    }
}

fn may_end_a_session(event: &Envelope<Value>, user_id: Uuid) -> bool {
    event.aggregate_id == user_id && [UserUpdated::TYPE, UserDeleted::TYPE, UserLoggedOut::TYPE].contains(&event.event_type.as_str())
}

fn response(event: &Envelope<Value>) -> StreamEventsResponse {
    StreamEventsResponse {
        event_id: event.event_id.to_string(),
        event_type: event.event_type.clone(),
        user_id: event.aggregate_id.to_string(),
        occurred_at: Some(timestamp(event.occurred_at)),
        data: event.data.to_string(),
    }
}
