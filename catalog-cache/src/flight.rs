//! Single flight: who wants what is being loaded waits for that load.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::spawn;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, try_join_all},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{cache::Known, error::CatalogError};

type Outcome<T> = Result<Arc<Known<T>>, CatalogError>;
type Flight<T> = Shared<BoxFuture<'static, Outcome<T>>>;

/// A load that nobody has begun yet.
type Start<T> = (Departure, Landing<T>);

/// The loads that are on their way in this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Flights<T>(Arc<Mutex<Board<T>>>);

struct Board<T> {
    open: HashMap<Uuid, (u64, Flight<T>)>,
    begun: u64,
    ended: u64,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Board { open: HashMap::new(), begun: 0, ended: 0 })))
    }
}

/// A moment, by the number of loads that had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// What there is left to load for somebody.
#[derive(Debug)]
pub(crate) struct Departure {
    /// Wanted by nobody else up to now.
    pub(crate) ids: Vec<Uuid>,
    /// Some load has ended since the cache was asked, and may have been one of these ids: ask again.
    pub(crate) stale: bool,
}

impl<T: Send + Sync + 'static> Flights<T> {
    /// To be taken before the cache is asked.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.board().ended)
    }

    /// Waits for loads of all `ids`, of which the cache knew nothing at `asked`. What nobody loads yet is loaded, at
    /// once, by `load`: in a task of its own, so that it ends well though the one who began it goes away.
    pub(crate) async fn join<F>(
        &self,
        ids: &[Uuid],
        asked: Moment,
        load: impl FnOnce(Departure) -> F,
    ) -> Result<Vec<Arc<Known<T>>>, CatalogError>
    where
        F: Future<Output = Result<Known<T>, CatalogError>> + Send + 'static,
    {
        let (flights, departure) = self.board_all(ids, asked);
        if let Some((departure, landing)) = departure {
            let work = load(departure);
            // who waits is told after the board is cleared: a failure that was told is not met again
            drop(spawn(async move {
                let outcome = work.await.map(Arc::new);
                landing.tell(outcome);
            }));
        }
        try_join_all(flights).await
    }

    fn board_all(&self, ids: &[Uuid], asked: Moment) -> (Vec<Flight<T>>, Option<Start<T>>) {
        let mut board = self.board();
        let mut flights = BTreeMap::new();
        let mut own = Vec::new();
        for id in ids {
            match board.open.get(id) {
                Some((number, flight)) => drop(flights.entry(*number).or_insert_with(|| flight.clone())),
                None => own.push(*id),
            }
        }
        if own.is_empty() {
            return (flights.into_values().collect(), None);
        }
        let (teller, told) = oneshot::channel::<Outcome<T>>();
        let flight = told.map(|told| told.unwrap_or_else(|_| Err(lost()))).boxed().shared();
        board.begun += 1;
        let number = board.begun;
        board.open.extend(own.iter().map(|id| (*id, (number, flight.clone()))));
        flights.insert(number, flight);
        let landing = Landing { board: Self(Arc::clone(&self.0)), number, ids: own.clone(), teller: Some(teller) };
        let departure = Departure { ids: own, stale: board.ended != asked.0 };
        (flights.into_values().collect(), Some((departure, landing)))
    }
}

impl<T> Flights<T> {
    /// Lets nobody who comes from now on wait for a load of `id` that has begun: it may not see what was just written.
    pub(crate) fn forget(&self, id: &Uuid) {
        self.board().open.remove(id);
    }

    /// As [`Self::forget`], of every id.
    pub(crate) fn forget_all(&self) {
        self.board().open.clear();
    }

    fn board(&self) -> MutexGuard<'_, Board<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime that ran a load ended, or the load panicked.
fn lost() -> CatalogError {
    CatalogError::Unavailable("the load was given up".into())
}

/// Clears the board however a load ends.
struct Landing<T> {
    board: Flights<T>,
    number: u64,
    ids: Vec<Uuid>,
    teller: Option<oneshot::Sender<Outcome<T>>>,
}

impl<T> Landing<T> {
    fn tell(mut self, outcome: Outcome<T>) {
        let teller = self.teller.take();
        drop(self);
        if let Some(teller) = teller {
            // nobody may be left to hear it
            let _ = teller.send(outcome);
        }
    }
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let mut board = self.board.board();
        board.ended += 1;
        for id in &self.ids {
            // a later load may have taken the place of one that was forgotten
            if board.open.get(id).is_some_and(|(number, _)| *number == self.number) {
                board.open.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn only_what_nobody_loads_is_loaded() {
        let (flights, [one, two]) = (Flights::<u8>::default(), [Uuid::now_v7(), Uuid::now_v7()]);
        let (release, released) = oneshot::channel::<()>();
        let first = spawn({
            let flights = flights.clone();
            async move {
                let load = |departure: Departure| async move {
                    released.await.unwrap();
                    Ok(departure.ids.into_iter().map(|id| (id, None)).collect())
                };
                flights.join(&[one], flights.now(), load).await
            }
        });
        while flights.board().open.is_empty() {
            tokio::task::yield_now().await;
        }
        let load = move |departure: Departure| {
            assert_eq!(departure.ids, [two]);
            release.send(()).unwrap();
            async move { Ok(Known::from([(two, None)])) }
        };
        let both = flights.join(&[one, two], flights.now(), load).await.unwrap();
        assert_eq!(both.iter().map(|known| known.len()).sum::<usize>(), 2);
        first.await.unwrap().unwrap();
        assert!(flights.board().open.is_empty());
    }

    #[tokio::test]
    async fn a_load_that_began_after_another_ended_is_told_to_ask_the_cache_again() {
        let (flights, id) = (Flights::<u8>::default(), Uuid::now_v7());
        let asked = flights.now();
        let load = |departure: Departure| async move {
            assert!(!departure.stale);
            Ok(Known::new())
        };
        flights.join(&[id], asked, load).await.unwrap();
        let late = |departure: Departure| async move {
            assert!(departure.stale);
            Ok(Known::new())
        };
        flights.join(&[id], asked, late).await.unwrap();
    }

    #[tokio::test]
    async fn who_comes_after_a_write_does_not_wait_for_a_load_that_began_before() {
        let (flights, id) = (Flights::<u8>::default(), Uuid::now_v7());
        let (_, early) = flights.board_all(&[id], flights.now());
        flights.forget(&id);
        let (_, late) = flights.board_all(&[id], flights.now());
        assert_eq!(late.as_ref().map(|(departure, _)| departure.ids.as_slice()), Some([id].as_slice()));
        // the end of the early load does not open the way for a third
        drop(early);
        assert!(flights.board_all(&[id], flights.now()).1.is_none());
        drop(late);
        assert!(flights.board().open.is_empty());
    }

    #[tokio::test]
    async fn a_load_whose_runtime_ends_is_an_error_and_leaves_nothing_behind() {
        let (flights, ids) = (Flights::<u8>::default(), [Uuid::now_v7()]);
        let (_, departure) = flights.board_all(&ids, flights.now());
        let waiting = flights.join(&ids, flights.now(), |_| pending::<Result<Known<u8>, CatalogError>>());
        let (outcome, ()) = futures::join!(waiting, async { drop(departure) });
        assert!(matches!(outcome, Err(CatalogError::Unavailable(_))));
        assert!(flights.board().open.is_empty());
    }
}
