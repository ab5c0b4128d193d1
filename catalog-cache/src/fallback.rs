//! Who may ask Postgres while Redis is away: few at a time, so that Postgres survives what Redis usually answers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{config::CacheConfig, error::CatalogError};

/// The places of the whole process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    /// Who has a place or waits for one.
    admitted: Arc<Semaphore>,
    places: Arc<Semaphore>,
    patience: Duration,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _admitted: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Fallback {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(config.fallback_concurrency + config.fallback_queue)),
            places: Arc::new(Semaphore::new(config.fallback_concurrency)),
            patience: Duration::from_millis(config.fallback_wait_ms),
        }
    }

    /// A place, in the order of asking. Refused where too many wait, or after too long a wait.
    pub(crate) async fn place(&self) -> Result<Place, CatalogError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| CatalogError::Overloaded)?;
        let place = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or(CatalogError::Overloaded)?;
        Ok(Place { _admitted: admitted, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    fn fallback(concurrency: usize, queue: usize, wait_ms: u64) -> Fallback {
        let config =
            CacheConfig { fallback_concurrency: concurrency, fallback_queue: queue, fallback_wait_ms: wait_ms, ..CacheConfig::default() };
        Fallback::new(&config)
    }

    #[tokio::test]
    async fn a_place_is_passed_on_and_who_finds_the_queue_full_is_refused() {
        let fallback = fallback(1, 1, 60_000);
        let first = fallback.place().await.unwrap();
        let mut second = Box::pin(fallback.place());
        assert!(poll!(&mut second).is_pending());
        assert!(matches!(fallback.place().await, Err(CatalogError::Overloaded)));
        drop(first);
        drop(second.await.unwrap());
        // who stops waiting makes room
        let _held = fallback.place().await.unwrap();
        let mut leaves = Box::pin(fallback.place());
        assert!(poll!(&mut leaves).is_pending());
        drop(leaves);
        assert!(poll!(Box::pin(fallback.place())).is_pending());
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_that() {
        let fallback = fallback(1, 5, 1);
        let _held = fallback.place().await.unwrap();
        assert!(matches!(fallback.place().await, Err(CatalogError::Overloaded)));
    }
}
