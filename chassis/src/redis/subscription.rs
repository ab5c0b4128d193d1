//! What is published in Redis, heard by one connection of the process that is opened again whenever it breaks.

use std::{sync::Arc, time::Duration};

use bb8_redis::redis::{
    Client, RedisError,
    aio::{PubSubSink, PubSubStream},
};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use super::RedisConfig;
use crate::{Process, StartError};

/// Pause before the connection is opened again; grows to the second value while that fails.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Between looks whether the connection still lives.
const PING: Duration = Duration::from_secs(2);

/// Who hears. Nothing here may wait.
pub trait Audience: Send + Sync + 'static {
    /// From now on nothing is missed.
    fn begin(&self);

    /// Something was published.
    fn hear(&self, channel: &str, message: &[u8]);

    /// From now on, and since a moment ago, something may be missed.
    fn end(&self);
}

/// Which channels are heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channels {
    /// These.
    Named(Vec<String>),
    /// All that begin with this text.
    Under(String),
}

/// Hears, on the current runtime, until the process stops. `what` stands in the log line about the loss of the connection.
///
/// # Errors
/// Where the URL is none.
pub fn listen(
    config: &RedisConfig,
    channels: Channels,
    what: &'static str,
    audience: impl Audience,
    process: &Process,
) -> Result<(), StartError> {
    let listener = Listener {
        client: Client::open(config.url.expose())?,
        channels,
        what,
        patience: Duration::from_millis(config.connect_timeout_ms.saturating_add(config.response_timeout_ms)),
        audience: Arc::new(audience),
    };
    let shutdown = process.shutdown.clone();
    process.background(async move {
        tokio::select! {
            () = listener.listen() => {}
            () = shutdown.cancelled() => {}
        }
    });
    Ok(())
}

struct Listener<A: Audience> {
    client: Client,
    channels: Channels,
    what: &'static str,
    /// How long opening the connection may take, and an answer to a PING.
    patience: Duration,
    audience: Arc<A>,
}

/// Tells the audience of the end however it comes.
struct Session<A: Audience>(Arc<A>);

impl<A: Audience> Session<A> {
    fn begin(audience: &Arc<A>) -> Self {
        audience.begin();
        Self(Arc::clone(audience))
    }
}

impl<A: Audience> Drop for Session<A> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<A: Audience> Listener<A> {
    /// Without end.
    async fn listen(&self) {
        let (mut pause, mut failing) = (PAUSE.0, false);
        loop {
            match timeout(self.patience, self.subscribe()).await {
                Ok(Ok((sink, messages))) => {
                    let session = Session::begin(&self.audience);
                    (pause, failing) = (PAUSE.0, false);
                    self.hear(sink, messages).await;
                    drop(session);
                }
                // once: an outage is one line and not one a second
                Ok(Err(error)) if !std::mem::replace(&mut failing, true) => tracing::warn!(%error, "{} are not heard", self.what),
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn subscribe(&self) -> Result<(PubSubSink, PubSubStream), RedisError> {
        let (mut sink, messages) = self.client.get_async_pubsub().await?.split();
        match &self.channels {
            Channels::Named(names) => sink.subscribe(names).await?,
            Channels::Under(prefix) => sink.psubscribe(format!("{}*", literally(prefix))).await?,
        }
        Ok((sink, messages))
    }

    /// Until the connection breaks, or does not answer any more.
    async fn hear(&self, mut sink: PubSubSink, mut messages: PubSubStream) {
        let lives = async {
            while let Ok(Ok(())) = timeout(self.patience, sink.ping()).await {
                sleep(PING).await;
            }
        };
        let hears = async {
            while let Some(message) = messages.next().await {
                self.audience.hear(message.get_channel_name(), message.get_payload_bytes());
            }
        };
        tokio::select! {
            () = lives => {}
            () = hears => {}
        }
    }
}

/// A text as a pattern of Redis that matches nothing else.
fn literally(text: &str) -> String {
    text.chars().flat_map(|sign| "\\*?[]^-".contains(sign).then_some('\\').into_iter().chain([sign])).collect()
}

#[cfg(test)]
mod tests {
    use super::literally;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(literally("mesh:auth:"), "mesh:auth:");
        assert_eq!(literally(r"a*b?[c]\"), r"a\*b\?\[c\]\\");
    }
}
