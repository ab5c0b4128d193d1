//! Partitions that are lost and not given away, on a broker that can be made to forget its members.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use events::{
    kafka::KafkaConfig,
    testing::{PATIENCE, eventually},
};
use kafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{FutureProducer, FutureRecord},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::running::Running;

/// Notes when it is dropped.
struct Dropped(Arc<Mutex<Option<Instant>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.lock().unwrap().get_or_insert_with(Instant::now);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_being_handled_is_dropped_at_once_when_its_partition_is_lost_and_comes_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("notifications", 1, 1).unwrap();
    let config = KafkaConfig { brokers: cluster.bootstrap_servers(), session_timeout_ms: 6_000, ..KafkaConfig::default() };
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
    producer.send(FutureRecord::to("notifications").key("k").payload("x"), PATIENCE).await.unwrap();
    let (calls, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
    let (counted, noted) = (Arc::clone(&calls), Arc::clone(&dropped));
    let running = Running::handler(&config, "notifications", move |_| {
        let (first, noted) = (counted.fetch_add(1, Ordering::SeqCst) == 0, Dropped(Arc::clone(&noted)));
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            drop(noted);
            Ok(())
        }
    });
    eventually("it hangs", async || calls.load(Ordering::SeqCst) == 1).await;
    let told = Instant::now();
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    eventually("the record comes again", async || calls.load(Ordering::SeqCst) == 2).await;
    let waited = dropped.lock().unwrap().unwrap() - told;
    // a heartbeat comes every 0.6 s; a partition that is given away would be waited for, for 5 s
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    running.stop().await;
}
