//! The cases in which records wait for a consumer, and Kafka's own benchmark of producers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::Utc;
use events::contract::{Item, NotificationRequested, OrderCancelled, OrderPlaced, OrderRecorded, OrderUpdated, UserCreated};
use events::envelope::{Envelope, Event};
use events::kafka::KafkaConfig;
use events::producer::Producer;
use events::{analytics, dispatch};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::seq::IndexedRandom as _;
use uuid::Uuid;

use super::BenchArgs;
use super::books::Books;
use super::case::{Round, cpu_us};
use super::load::Served;
use super::rival;
use super::stage::Stage;

/// How long a consumer may commit nothing.
const STALLED: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);
/// Records that are on their way to the broker at once when a backlog is made.
const ON_THE_WAY: usize = 5_000;
/// Different records that the rival sends in turn.
const PAYLOADS: usize = 2_000;
/// A record of analytics is a transaction: the same time is enough for fewer.
const ANALYTICS_SHARE: u64 = 5;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// `orders.created`; sends a notification and a fact for each record.
    Dispatch,
    /// `analytics`; a transaction for each record.
    Analytics,
}

impl Reader {
    /// The topic with the backlog.
    fn source(self) -> &'static str {
        match self {
            Self::Dispatch => OrderPlaced::TOPIC,
            Self::Analytics => OrderRecorded::TOPIC,
        }
    }

    /// All that its group reads.
    fn topics(self) -> &'static [&'static str] {
        match self {
            Self::Dispatch => &[OrderPlaced::TOPIC, OrderUpdated::TOPIC, OrderCancelled::TOPIC],
            Self::Analytics => &[OrderRecorded::TOPIC, UserCreated::TOPIC],
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Dispatch => dispatch::NAME,
            Self::Analytics => analytics::NAME,
        }
    }
}

/// A backlog's reader, and what is needed to make a backlog.
pub(super) struct Prepared<'a> {
    reader: Reader,
    process: &'static str,
    stage: &'a Stage,
    records: u64,
    producer: Producer,
    books: Books,
    payloads: PathBuf,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(reader: Reader, process: &'static str, stage: &'a Stage, args: &BenchArgs) -> Result<Self> {
        let records = if reader == Reader::Analytics { args.records / ANALYTICS_SHARE } else { args.records };
        let config = KafkaConfig { brokers: stage.brokers(), ..KafkaConfig::default() };
        let (producer, books) = (Producer::new(&config, "bench")?, Books::open(stage.brokers(), reader.group())?);
        let payloads = stage.file(&format!("{process}.payloads"));
        std::fs::write(&payloads, lines(reader)?).with_context(|| format!("cannot write {}", payloads.display()))?;
        Ok(Self { reader, process, stage, records, producer, books, payloads })
    }

    /// Ours, then the rival.
    pub(super) async fn round(&self) -> Result<Round> {
        self.stage.stop(self.process).await?;
        // what other cases have left
        self.books.pass_over(self.reader.topics()).await?;
        let before = self.effects().await?;
        self.fill().await?;
        let ((took, cpu_us), ()) = tokio::try_join!(self.drained(), self.stage.start(self.process))?;
        self.stage.stop(self.process).await?;
        for ((effect, before), (_, after)) in before.iter().zip(self.effects().await?) {
            let grown = after - before;
            ensure!(u64::try_from(grown) == Ok(self.records), "{} records have made {grown} {effect}", self.records);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let per_second = self.records as f64 / took.as_secs_f64();
        Ok(Round { ours: Served { handled: self.records, per_second, latency: None }, cpu_us, rival: self.rival().await? })
    }

    async fn fill(&self) -> Result<()> {
        let products = db::seed::products();
        let sending = stream::iter(0..self.records).map(|_| async {
            match self.reader {
                Reader::Dispatch => self.producer.send(&placed(&products)).await,
                Reader::Analytics => self.producer.send(&recorded(&products)).await,
            }
        });
        sending.buffer_unordered(ON_THE_WAY).try_collect::<()>().await.context("the backlog cannot be made")
    }

    /// From the moment when the broker has handed out the partitions until the group has committed all: neither the start of
    /// a process nor that of a group counts.
    async fn drained(&self) -> Result<(Duration, BTreeMap<&'static str, f64>)> {
        let source = self.reader.source();
        let end = self.books.written(source).await?;
        self.books.assigned().await?;
        let (began, before) = (Instant::now(), self.stage.clock(&[self.process]));
        let (mut committed, mut moved) = (0, began);
        while committed < end {
            tokio::time::sleep(POLL).await;
            let now = self.books.committed(source).await?;
            if now > committed {
                (committed, moved) = (now, Instant::now());
            } else if moved.elapsed() > STALLED {
                bail!("{} commits nothing for {} s; {} records wait", self.process, STALLED.as_secs(), end - committed);
            }
        }
        let (took, after) = (began.elapsed(), self.stage.clock(&[self.process]));
        Ok((took, cpu_us(&before, &after, self.records)))
    }

    /// Counts of what each record must make one of.
    async fn effects(&self) -> Result<Vec<(&'static str, i64)>> {
        match self.reader {
            Reader::Dispatch => {
                let notices = self.books.written(NotificationRequested::TOPIC).await?;
                Ok(vec![("notifications", notices), ("facts", self.books.written(OrderRecorded::TOPIC).await?)])
            }
            Reader::Analytics => {
                let database = self.stage.postgres(crate::postgres::DATABASE)?;
                let orders = database.sql("SELECT coalesce(sum(orders), 0)::bigint FROM events.daily_orders").await?;
                Ok(vec![("orders in the rollup", orders.trim().parse()?)])
            }
        }
    }

    /// To a topic with as many partitions.
    async fn rival(&self) -> Result<f64> {
        let topic = format!("bench-{:08x}", rand::random::<u32>());
        self.books.create(&topic, self.books.partitions(self.reader.source()).await?).await?;
        let tool = self.stage.kafka_tool("org.apache.kafka.tools.ProducerPerformance")?;
        let rate = rival::producer_perf_test(tool, &self.stage.brokers(), &topic, &self.payloads, self.records).await;
        self.books.delete(&topic).await?;
        rate
    }
}

/// What the rival sends: such records as ours reads.
fn lines(reader: Reader) -> Result<String> {
    let products = db::seed::products();
    let line = |_| match reader {
        Reader::Dispatch => serde_json::to_string(&placed(&products)),
        Reader::Analytics => serde_json::to_string(&recorded(&products)),
    };
    Ok((0..PAYLOADS).map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// An order of three different products, one piece each.
fn placed(products: &[db::seed::Product]) -> Envelope<OrderPlaced> {
    let line = |product: &db::seed::Product| Item {
        product_id: product.product_id,
        product_name: product.name.clone(),
        quantity: 1,
        unit_price: product.price,
    };
    let items: Vec<Item> = products.sample(&mut rand::rng(), 3).map(line).collect();
    let order = OrderPlaced {
        order_id: Uuid::now_v7(),
        user_id: Uuid::now_v7(),
        username: "demo".into(),
        email: "demo@throughline.test".into(),
        total_amount: items.iter().map(|item| item.unit_price).sum(),
        items,
        currency: "EUR".into(),
        timestamp: Utc::now(),
    };
    Envelope::new(order.order_id, 1, order)
}

/// What dispatch makes of it for analytics.
fn recorded(products: &[db::seed::Product]) -> Envelope<OrderRecorded> {
    let placed = placed(products);
    placed.derive(dispatch::placed_fact(&placed.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rival_sends_such_records_as_ours_reads_one_a_line() {
        for reader in [Reader::Dispatch, Reader::Analytics] {
            let lines = lines(reader).unwrap();
            assert_eq!(lines.lines().count(), PAYLOADS);
            for line in lines.lines() {
                let event: Envelope<serde_json::Value> = serde_json::from_str(line).unwrap();
                assert_eq!(event.data["items"].as_array().unwrap().len(), 3, "{line}");
                assert!(reader.topics().contains(&reader.source()), "{event:?}");
            }
        }
    }
}
