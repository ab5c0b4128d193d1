//! What a connection takes up for as long as it is served.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// As many streams are open as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many streams are open")]
pub struct StreamsFull;

/// One of `runtime.threads`; from the moment on when a stream begins on the connection, one of `runtime.max_streams`
/// instead, for the rest of the connection. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    streams: Arc<Semaphore>,
    is_stream: CancellationToken,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, streams: Arc<Semaphore>) -> Self {
        Self(Arc::new(Inner { permit: Mutex::new(Some(permit)), streams, is_stream: CancellationToken::new() }))
    }

    /// Takes a place among the streams and gives the other one back. Whoever has one keeps it.
    pub(crate) fn begin_stream(&self) -> Result<(), StreamsFull> {
        let mut permit = self.0.permit.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stream() {
            *permit = Some(Arc::clone(&self.0.streams).try_acquire_owned().map_err(|_| StreamsFull)?);
            self.0.is_stream.cancel();
        }
        Ok(())
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.0.is_stream.is_cancelled()
    }

    /// Completes when a stream has begun.
    pub(crate) async fn stream_began(&self) {
        self.0.is_stream.cancelled().await;
    }

    /// The connection has ended.
    pub(super) fn leave(&self) {
        drop(self.0.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_changes_one_place_for_the_other_once_and_gives_it_back() {
        let (common, streams) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let place = || Place::new(Arc::clone(&common).try_acquire_owned().unwrap(), Arc::clone(&streams));
        let (one, other) = (place(), place());
        assert_eq!((one.begin_stream(), one.clone().begin_stream()), (Ok(()), Ok(())));
        assert_eq!((common.available_permits(), streams.available_permits()), (1, 0));
        assert_eq!((other.begin_stream(), other.is_stream()), (Err(StreamsFull), false));
        assert_eq!(common.available_permits(), 1, "who is refused stays where it is");
        one.leave();
        assert_eq!((common.available_permits(), streams.available_permits()), (1, 1), "and not by the last clone's end");
        assert_eq!(other.begin_stream(), Ok(()));
        other.leave();
        assert_eq!((common.available_permits(), streams.available_permits()), (2, 1));
    }
}
