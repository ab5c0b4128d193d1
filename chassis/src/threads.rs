//! A thread per connection: an acceptor that hands each connection to an idle thread, or to a new one up to a bound, and
//! beyond it lets the connection wait for a while and then refuses it. A connection on which a stream begins gives its
//! place to others: streams have a bound of their own.

mod place;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
};

use tokio_util::sync::CancellationToken;

pub(crate) use place::Place;
pub use place::StreamsFull;

use crate::{StartError, runtime::RuntimeConfig, spawn};

/// Connections that may wait for a thread; the kernel's own queue comes on top.
const MAX_WAITING: usize = 1024;
/// How long a connection that was let in may take to begin, whoever waits: its first request may be on its way.
const FIRST_WORD: Duration = Duration::from_millis(250);
/// How often who waits asks another idle connection: the last one that was asked may have become busy.
const ASK_AGAIN: Duration = Duration::from_millis(25);
/// How long what was begun may go on after a stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// A connection on its way to a thread, with the place that it takes.
struct Connection {
    /// Not yet tied to a runtime: the thread's own drives it.
    stream: std::net::TcpStream,
    place: Place,
}

/// Whether connections wait for threads; an idle one should then close.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    waiting: AtomicUsize,
    wanted: Notify,
}

impl Shortage {
    /// Completes when this connection, being idle, should make room. To be called when it is let in.
    pub(crate) async fn room_is_wanted(&self) {
        tokio::time::sleep(FIRST_WORD).await;
        loop {
            self.wanted.notified().await;
            if self.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }

    /// Asks one idle connection after the other to make room, for ever.
    async fn ask(&self) {
        loop {
            self.wanted.notify_one();
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// The connections of one thread, one after the other.
pub(crate) struct Connections {
    mailbox: mpsc::Receiver<Connection>,
    sender: mpsc::Sender<Connection>,
    idle: Arc<Mutex<Vec<mpsc::Sender<Connection>>>>,
    place: Option<Place>,
    stop: CancellationToken,
    /// See [`Shortage`].
    pub(crate) shortage: Arc<Shortage>,
}

impl Connections {
    /// Cancelled when the server should stop.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Gives the place of the last connection back and waits for the next, with its place; `None` when the server stops.
    pub(crate) async fn next(&mut self) -> Option<(TcpStream, Place)> {
        loop {
            if let Some(place) = self.place.take() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.sender.clone());
                place.leave();
            }
            let connection = tokio::select! {
                // who has been let in is served
                biased;
                connection = self.mailbox.recv() => connection?,
                () = self.stop.cancelled() => return None,
            };
            self.place = Some(connection.place.clone());
            match TcpStream::from_std(connection.stream) {
                Ok(stream) => return Some((stream, connection.place)),
                Err(error) => tracing::warn!(%error, "a connection was lost before it was served"),
            }
        }
    }
}

/// Serves until `stop` is cancelled, then drains. `thread` runs on each serving thread until its connections end; `refusal`
/// is what a connection is told for which there is no thread in time.
///
/// # Errors
/// The operating system's.
pub(crate) async fn serve<W>(
    listener: TcpListener,
    stop: &CancellationToken,
    limits: RuntimeConfig,
    refusal: &'static [u8],
    thread: W,
) -> Result<(), StartError>
where
    W: Fn(Connections) -> Result<(), StartError> + Clone + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let pool = Arc::new(Pool {
        places: Arc::new(Semaphore::new(limits.threads)),
        streams: Arc::new(Semaphore::new(limits.max_streams)),
        idle: Arc::default(),
        shortage: Arc::default(),
        running: Arc::default(),
        thread,
        stop: stop.clone(),
    });
    let patience = Duration::from_millis(limits.queue_timeout_ms);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => drop(spawn(Arc::clone(&pool).admit(stream, peer, patience, refusal))),
            // out of descriptors, or gone before it was accepted: neither ends the service
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    pool.drained().await;
    Ok(())
}

struct Pool<W> {
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<mpsc::Sender<Connection>>>>,
    shortage: Arc<Shortage>,
    running: Arc<Running>,
    thread: W,
    stop: CancellationToken,
}

/// Threads that have not ended.
#[derive(Debug, Default)]
struct Running {
    threads: AtomicUsize,
    ended: Notify,
}

/// Counts a thread for as long as it runs, however it ends.
struct Alive(Arc<Running>);

impl Alive {
    fn new(running: &Arc<Running>) -> Self {
        running.threads.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(running))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.threads.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_waiters();
    }
}

impl<W> Pool<W>
where
    W: Fn(Connections) -> Result<(), StartError> + Clone + Send + Sync + 'static,
{
    async fn admit(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, patience: Duration, refusal: &'static [u8]) {
        let Some(place) = self.place(patience).await else {
            tracing::warn!(%peer, threads = self.running.threads.load(Ordering::Relaxed), "a connection was refused: no thread is free");
            refuse(stream, refusal).await;
            return;
        };
        let place = Place::new(place, Arc::clone(&self.streams));
        let connection = stream.into_std().map(|stream| Connection { stream, place });
        if let Err(error) = connection.and_then(|connection| self.hand_over(connection)) {
            tracing::error!(%error, "a connection could not be served");
        }
    }

    /// A place among the threads, waited for no longer than `patience`.
    async fn place(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        if self.shortage.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.shortage.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let place = tokio::select! {
            place = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()) => place.ok().and_then(Result::ok),
            () = self.shortage.ask() => None,
        };
        self.shortage.waiting.fetch_sub(1, Ordering::Relaxed);
        place
    }

    /// To an idle thread, or a new one: there are never more threads than places, those of streams included.
    fn hand_over(&self, mut connection: Connection) -> io::Result<()> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mailbox) = idle else { break };
            match mailbox.try_send(connection) {
                Ok(()) => return Ok(()),
                // that thread has ended
                Err(mpsc::error::TrySendError::Closed(back) | mpsc::error::TrySendError::Full(back)) => connection = back,
            }
        }
        self.start(connection)
    }

    fn start(&self, first: Connection) -> io::Result<()> {
        let (sender, mailbox) = mpsc::channel(1);
        let connections = Connections {
            mailbox,
            sender: sender.clone(),
            idle: Arc::clone(&self.idle),
            place: None,
            stop: self.stop.clone(),
            shortage: Arc::clone(&self.shortage),
        };
        let (work, alive) = (self.thread.clone(), Alive::new(&self.running));
        thread::Builder::new().name("connection".into()).spawn(move || {
            let _alive = alive;
            if let Err(error) = work(connections) {
                tracing::error!(error, "a serving thread has ended");
            }
        })?;
        sender.try_send(first).map_err(|_| io::Error::other("the thread ended at once"))
    }

    async fn drained(&self) {
        let all_ended = async {
            loop {
                let ended = self.running.ended.notified();
                if self.running.threads.load(Ordering::Relaxed) == 0 {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(DRAIN, all_ended).await.is_err() {
            tracing::warn!("requests that did not end in time were cut off");
        }
    }
}

/// Tells the caller why and closes; what it sends meanwhile is read, since the kernel would throw our words away with it.
async fn refuse(mut stream: TcpStream, refusal: &[u8]) {
    let telling = async {
        stream.write_all(refusal).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _gone = tokio::time::timeout(Duration::from_secs(1), telling).await;
}
