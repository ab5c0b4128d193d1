//! The loop that takes mails out of the outbox and sends them, several at a time.

use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use chassis::{Process, StartError};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Config, NAME,
    delivery::{Delivery, Ended, News},
    gate::Gate,
    mailer::Mailer,
    metrics::Tally,
    store::{self, Claim, Claimed},
};
use crate::{consumer::HandleError, producer::Producer};
use db::pool::Pool;

/// How long mails may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);
/// When nothing but the end of a mail can be waited for.
const FAR: Duration = Duration::from_hours(1);
/// Claims without an answer that are remembered.
const MOST_LOST: usize = 64;

pub(super) struct Sender {
    delivery: Delivery,
    concurrency: usize,
    claim: Duration,
    sweep: Duration,
    wake: Arc<Notify>,
}

/// What the loop knows.
struct State {
    /// Mails that are on their way.
    held: HashSet<Uuid>,
    /// Claims whose answers did not come.
    lost: VecDeque<Uuid>,
    /// The server of mails, and Postgres.
    mail: Gate,
    postgres: Gate,
    /// There may be something to be taken.
    look: bool,
    /// When there is to be a look in any case.
    next: Instant,
    /// When mails that are under way are waited for no more, once the process stops.
    end: Option<Instant>,
}

impl Sender {
    pub(super) fn new(config: &Config, pool: Pool, wake: Arc<Notify>, process: &Process) -> Result<Self, StartError> {
        let delivery = Delivery {
            pool,
            mailer: Mailer::new(&config.mail)?,
            producer: Producer::new(&config.kafka, &format!("{NAME}-mail-dlq"))?,
            delays: config.kafka.retry_delays_ms.iter().copied().map(Duration::from_millis).collect(),
            tally: Tally::register(process),
            shutdown: process.shutdown.clone(),
            overdue: CancellationToken::new(),
        };
        let sweep = Duration::from_millis(config.mail.sweep_interval_ms);
        Ok(Self { delivery, concurrency: config.mail.concurrency, claim: config.mail.claim(), sweep, wake })
    }

    /// Sends until the process stops, and what is under way then to its end, for a while.
    pub(super) async fn run(self) {
        let mut on_the_way = FuturesUnordered::new();
        let mut state = State::new(self.sweep);
        let shutdown = &self.delivery.shutdown;
        loop {
            let room = state.room(self.concurrency);
            if state.look && room > 0 && !shutdown.is_cancelled() {
                for mail in self.take(&mut state, &mut on_the_way, room).await {
                    state.held.insert(mail.event_id);
                    on_the_way.push(self.delivery.deliver(mail));
                }
            }
            if shutdown.is_cancelled() {
                if on_the_way.is_empty() {
                    return;
                }
                state.end.get_or_insert_with(|| Instant::now() + DRAIN);
            }
            tokio::select! {
                Some(ended) = on_the_way.next() => {
                    self.note(&mut state, ended);
                    while let Some(Some(ended)) = on_the_way.next().now_or_never() {
                        self.note(&mut state, ended);
                    }
                }
                () = self.wake.notified() => state.look = true,
                () = sleep_until(state.wait_until()) => self.time_is_up(&mut state),
                () = shutdown.cancelled(), if state.end.is_none() => {}
            }
        }
    }

    /// Takes as many mails as there is room for, while those on their way go on.
    async fn take<F>(&self, state: &mut State, on_the_way: &mut FuturesUnordered<F>, room: usize) -> Vec<Claimed>
    where
        F: Future<Output = Ended>,
    {
        let (held, lost) = (state.held.iter().copied().collect(), state.lost.iter().copied().collect());
        let claim = Claim { id: Uuid::new_v4(), limit: room, time: self.claim, held, lost };
        let mut claiming = pin!(self.claim(&claim));
        let mails = loop {
            tokio::select! {
                mails = &mut claiming => break mails,
                Some(ended) = on_the_way.next() => self.note(state, ended),
            }
        };
        self.taken(state, &claim, mails)
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, HandleError> {
        let pool = &self.delivery.pool;
        pool.bounded(async { Ok(store::claim(&mut *pool.get().await?, claim).await?) }).await
    }

    fn taken(&self, state: &mut State, claim: &Claim, mails: Result<Vec<Claimed>, HandleError>) -> Vec<Claimed> {
        match mails {
            Ok(mails) => {
                if state.postgres.open() {
                    tracing::info!("the outbox of mails answers again");
                }
                state.look = mails.len() == claim.limit;
                state.next = Instant::now() + self.sweep;
                mails
            }
            Err(error) => {
                // Postgres may have done it nevertheless, or do it yet
                state.lost.push_back(claim.id);
                if state.lost.len() > MOST_LOST {
                    state.lost.pop_front();
                }
                // once per change of state: an outage is one line and not one a second
                if state.postgres.close() {
                    tracing::warn!(%error, "the outbox of mails does not answer");
                }
                Vec::new()
            }
        }
    }

    fn note(&self, state: &mut State, ended: Ended) {
        state.held.remove(&ended.event_id);
        match ended.news {
            News::Answer => self.server_answers(state),
            News::Again(delay) => {
                self.server_answers(state);
                state.next = state.next.min(Instant::now() + delay);
            }
            News::Away(reason) => {
                if state.mail.close() {
                    self.delivery.tally.available(false);
                    tracing::warn!(reason, "mail cannot leave: all of it waits");
                }
                state.look = true;
            }
            News::Nothing => {}
        }
    }

    fn server_answers(&self, state: &mut State) {
        if state.mail.open() {
            self.delivery.tally.available(true);
            tracing::info!("mail leaves again");
            state.look = true;
        }
    }

    fn time_is_up(&self, state: &mut State) {
        state.look = true;
        if state.end.is_some_and(|end| Instant::now() >= end) {
            self.delivery.overdue.cancel();
            // what is left ends by itself
            state.end = Some(Instant::now() + DRAIN);
        }
    }
}

impl State {
    fn new(sweep: Duration) -> Self {
        let (mail, postgres) = (Gate::default(), Gate::default());
        Self { held: HashSet::new(), lost: VecDeque::new(), mail, postgres, look: true, next: Instant::now() + sweep, end: None }
    }

    fn room(&self, concurrency: usize) -> usize {
        let busy = self.held.len();
        // Postgres is asked by as many as there are: it is asked once
        let asked = if self.postgres.room(1, 0) == 0 { 0 } else { concurrency };
        self.mail.room(concurrency, busy).min(asked)
    }

    /// When there is something to do though nothing happens.
    fn wait_until(&self) -> Instant {
        if let Some(end) = self.end {
            return end;
        }
        if !self.look {
            return self.next;
        }
        // there is no room: a mail that ends makes some, or the end of a pause
        let now = Instant::now();
        let pause = [self.mail.until(), self.postgres.until()].into_iter().flatten().max();
        pause.filter(|until| *until > now).unwrap_or(now + FAR)
    }
}
