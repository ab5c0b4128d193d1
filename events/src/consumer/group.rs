//! Membership in a consumer group: one thread that talks to librdkafka about partitions and offsets.
//!
//! All that it does happens one after the other: a commit is never on its way while a partition changes hands. It handles no
//! record itself, so that it comes back to librdkafka long before `max.poll.interval.ms` however long a record takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use ::kafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult},
};
use chassis::spawn;
use futures::future::{BoxFuture, join_all};
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{DRAIN, metrics::Lag, partition::Partition, settings::settings};
use crate::kafka::KafkaConfig;

/// Between looks at what is to be committed, paused and resumed.
const TICK: Duration = Duration::from_millis(50);
/// Between attempts to commit what the broker has just refused.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// How long work that was told to stop may take for it.
const ABANDON: Duration = Duration::from_secs(1);
/// How long the broker may take to say where a partition ends.
const ANSWER: Duration = Duration::from_secs(1);

/// Begins the work on a partition.
pub(super) type Open = Box<dyn Fn(Arc<Partition>, PartitionQueue<Membership>) -> BoxFuture<'static, ()> + Send + Sync>;

struct Member {
    partition: Arc<Partition>,
    task: JoinHandle<()>,
}

/// The partitions that are ours.
#[derive(Clone, Default)]
pub(super) struct Assigned(Arc<Mutex<BTreeMap<(String, i32), Member>>>);

impl Assigned {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, i32), Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.lock().values().map(|member| Arc::clone(&member.partition)).collect()
    }
}

/// What happens when partitions come and go. On the reader's thread.
pub(super) struct Membership {
    reader: OnceLock<Weak<BaseConsumer<Self>>>,
    assigned: Assigned,
    open: Open,
    lag: Lag,
    abandoned: CancellationToken,
    runtime: Handle,
}

impl ClientContext for Membership {
    fn stats(&self, statistics: Statistics) {
        self.lag.note(&statistics);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.take_on(list),
            Rebalance::Revoke(list) => {
                let places: Vec<_> = list.elements().iter().map(|at| (at.topic().to_owned(), at.partition())).collect();
                let leaving = places.iter().filter_map(|place| self.assigned.lock().remove(place)).collect();
                self.give_away(consumer, leaving, consumer.assignment_lost());
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance"),
        }
        tracing::info!(partitions = self.assigned.lock().len(), "kafka assignment");
    }
}

impl Membership {
    /// Each partition gets a queue of its own before the first record comes.
    fn take_on(&self, list: &TopicPartitionList) {
        let Some(consumer) = self.reader.get().and_then(Weak::upgrade) else { return };
        // from an earlier time as a member
        let _ = consumer.resume(list);
        for at in list.elements() {
            let Some(queue) = consumer.split_partition_queue(at.topic(), at.partition()) else { continue };
            let partition = Arc::new(Partition::new(at.topic(), at.partition(), &self.abandoned));
            let task = spawn((self.open)(Arc::clone(&partition), queue));
            self.assigned.lock().insert((partition.topic.clone(), partition.number), Member { partition, task });
        }
    }

    /// Finishes what is being handled within [`DRAIN`] or drops it, commits what is done, and lets go. What is `lost` is
    /// somebody else's already: nothing is finished and nothing is committed.
    fn give_away(&self, consumer: &BaseConsumer<Self>, members: Vec<Member>, lost: bool) {
        let (partitions, mut tasks): (Vec<_>, Vec<_>) = members.into_iter().map(|member| (member.partition, member.task)).unzip();
        for partition in &partitions {
            let token = if lost { &partition.gone } else { &partition.stop };
            token.cancel();
        }
        if !self.ended(&mut tasks, DRAIN) {
            for partition in &partitions {
                partition.gone.cancel();
            }
            if !self.ended(&mut tasks, ABANDON) {
                tracing::warn!("a handler does not stop");
                tasks.iter().for_each(JoinHandle::abort);
            }
        }
        if !lost && !self.abandoned.is_cancelled() {
            commit(consumer, &partitions);
        }
    }

    fn ended(&self, tasks: &mut [JoinHandle<()>], limit: Duration) -> bool {
        if tasks.iter().all(JoinHandle::is_finished) {
            return true;
        }
        let running = tasks.iter_mut().filter(|task| !task.is_finished());
        self.runtime.block_on(async { timeout(limit, join_all(running)).await }).is_ok()
    }
}

/// Commits what is done, and waits for the broker. A failure (a rebalance, an outage) is no loss: it is tried again, and if
/// nothing comes of that the records come again, and their effects are recognised.
fn commit(consumer: &BaseConsumer<Membership>, partitions: &[Arc<Partition>]) -> bool {
    let due: Vec<_> = partitions.iter().filter_map(|partition| Some((partition, partition.state().ledger.due()?))).collect();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in &due {
        // an error is an offset that is none
        let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset));
    }
    if due.is_empty() {
        return true;
    }
    match consumer.commit(&list, CommitMode::Sync) {
        Ok(()) => {
            for (partition, offset) in due {
                partition.state().ledger.committed(offset);
            }
            true
        }
        Err(error) => {
            tracing::warn!(%error, "offsets are not committed yet");
            false
        }
    }
}

/// When what was done last, beside reading.
#[derive(Default)]
struct Chores {
    done: Option<Instant>,
    /// A commit that the broker did not take.
    refused: Option<Instant>,
    looked: Option<Instant>,
}

fn is_due(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|at| at.elapsed() >= interval)
}

/// A member of a group.
pub(super) struct Group {
    consumer: Arc<BaseConsumer<Membership>>,
    assigned: Assigned,
    lag: Lag,
    /// Between looks at partitions that are not fetched from.
    interval: Duration,
}

impl Group {
    /// Joins. Where `abandoned` is cancelled the partitions are let go as they are.
    pub(super) fn join(
        config: &KafkaConfig,
        group: &str,
        topics: &[String],
        lag: Lag,
        open: Open,
        abandoned: &CancellationToken,
    ) -> KafkaResult<Self> {
        let assigned = Assigned::default();
        let membership = Membership {
            reader: OnceLock::new(),
            assigned: assigned.clone(),
            open,
            lag: lag.clone(),
            abandoned: abandoned.clone(),
            runtime: Handle::current(),
        };
        let consumer = Arc::new(settings(config, group).create_with_context::<_, BaseConsumer<_>>(membership)?);
        let _ = consumer.context().reader.set(Arc::downgrade(&consumer));
        consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { consumer, assigned, lag, interval: Duration::from_millis(config.statistics_interval_ms) })
    }

    pub(super) fn assigned(&self) -> Assigned {
        self.assigned.clone()
    }

    /// Reads on a thread of its own until `shutdown` or `abandoned` is cancelled, and says how that ended. Not on one of the
    /// runtime's, which would wait for it at its end: a commit may wait for a broker that is away.
    pub(super) fn start(self, shutdown: CancellationToken) -> std::io::Result<oneshot::Receiver<KafkaResult<()>>> {
        let (done, ended) = oneshot::channel();
        let runtime = self.consumer.context().runtime.clone();
        std::thread::Builder::new().name("kafka-reader".into()).spawn(move || {
            let _runtime = runtime.enter();
            // nobody may be there any more to hear it
            let _ = done.send(self.run(&shutdown));
        })?;
        Ok(ended)
    }

    /// An error is that librdkafka cannot go on: another process has come as the same static member.
    fn run(self, shutdown: &CancellationToken) -> KafkaResult<()> {
        let abandoned = self.consumer.context().abandoned.clone();
        let mut chores = Chores::default();
        let result = loop {
            if shutdown.is_cancelled() || abandoned.is_cancelled() {
                break Ok(());
            }
            match self.consumer.poll(TICK) {
                Some(Ok(stray)) => self.read_again(stray.topic(), stray.partition(), stray.offset()),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => break Err(error),
                // librdkafka goes on by itself; readiness tells of a broker that stays away
                Some(Err(error)) => tracing::debug!(%error, "reading from kafka"),
                None => {}
            }
            if is_due(chores.done, TICK) {
                self.tend(&mut chores);
            }
        };
        self.leave();
        result
    }

    /// What there is to do beside reading.
    fn tend(&self, chores: &mut Chores) {
        chores.done = Some(Instant::now());
        let partitions = self.assigned.partitions();
        if is_due(chores.refused, COMMIT_AGAIN) {
            chores.refused = (!commit(&self.consumer, &partitions)).then(Instant::now);
        }
        self.regulate(&partitions);
        if is_due(chores.looked, self.interval) {
            chores.looked = Some(Instant::now());
            self.look_at_ends(&partitions);
        }
    }

    /// A record that did not go to its partition's queue. It is not to be passed over.
    fn read_again(&self, topic: &str, partition: i32, offset: i64) {
        if let Err(error) = self.consumer.seek(topic, partition, Offset::Offset(offset), ANSWER) {
            tracing::error!(%error, topic, partition, offset, "a record that came astray is not read again");
        }
    }

    /// Stops fetching for partitions that have enough in hand, and goes on for those that have room again.
    fn regulate(&self, partitions: &[Arc<Partition>]) {
        self.lag.note_paused(partitions.iter().filter(|partition| partition.state().paused).count());
        for partition in partitions {
            // held until it is done: what is taken in the meantime would come a second time
            let mut state = partition.state();
            let Some(pause) = state.wants_pause() else { continue };
            let mut list = TopicPartitionList::new();
            list.add_partition(&partition.topic, partition.number);
            let done = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            match done {
                Ok(()) => state.paused = pause,
                Err(error) => tracing::warn!(%error, topic = partition.topic, partition = partition.number, pause, "no change in fetching"),
            }
        }
    }

    fn look_at_ends(&self, partitions: &[Arc<Partition>]) {
        let still = partitions.iter().filter(|partition| partition.state().full_since.is_some());
        // a broker that does not answer is asked once
        let ends = still.map_while(|of| {
            let (_, end) = self.consumer.fetch_watermarks(&of.topic, of.number, ANSWER).ok()?;
            Some(((of.topic.clone(), of.number), end))
        });
        self.lag.note_ends(ends.collect());
    }

    /// Gives the partitions to the others at once, instead of after the session timeout; a static member keeps them until then.
    fn leave(self) {
        let members = std::mem::take(&mut *self.assigned.lock()).into_values().collect();
        self.consumer.context().give_away(&self.consumer, members, false);
        // closing, which tells the broker, is part of the drop and waits for its answer
        drop(self.consumer);
    }
}
