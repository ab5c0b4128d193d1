//! What reaches Redis.

use std::sync::{Arc, Mutex};

use chassis::spawn;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::world::{World, redis_url};

impl World {
    /// Every command that reaches Redis with a key of this test, from now on.
    pub(crate) async fn watch_redis(&self) -> Commands {
        let address = redis_url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"MONITOR\r\n").await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("+OK"));
        let (commands, prefix) = (Commands::default(), self.prefix.clone());
        spawn({
            let commands = Arc::clone(&commands.0);
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.contains(&prefix) {
                        commands.lock().unwrap().push(line);
                    }
                }
            }
        });
        commands
    }
}

/// What MONITOR tells.
#[derive(Default)]
pub(crate) struct Commands(Arc<Mutex<Vec<String>>>);

impl Commands {
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(&format!("\"{name}\""))).count()
    }
}
