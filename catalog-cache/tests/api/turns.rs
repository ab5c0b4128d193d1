//! How often the service waits for Redis.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use chassis::spawn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::redis_url;

/// A proxy before Redis that counts how often it is the service's turn to speak: its round trips.
pub(crate) struct Turns {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Service,
    Redis,
}

impl Turns {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let turns = Arc::clone(&count);
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = redis_url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
                let server = TcpStream::connect(server).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let last = Arc::new(Mutex::new(Speaker::Redis));
                spawn(pump(from_client, to_server, Speaker::Service, Arc::clone(&last), Arc::clone(&turns)));
                spawn(pump(from_server, to_client, Speaker::Redis, last, Arc::clone(&turns)));
            }
        });
        Self { address, count }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    speaker: Speaker,
    last: Arc<Mutex<Speaker>>,
    turns: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if std::mem::replace(&mut *last.lock().unwrap(), speaker) != speaker && speaker == Speaker::Service {
            turns.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
