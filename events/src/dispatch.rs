//! `dispatch`: from what happened to an order to who has to know of it. Keeps nothing: what it sends is a function of what
//! it reads, ids included.

use chassis::{
    Process, StartError,
    config::{Common, Problems, ServiceConfig},
    scenario::{Scenario, Scenarios},
};
use serde::{Deserialize, Serialize};

use crate::{
    consumer::{self, HandleError, Handled, Handler, Record},
    contract::{NotificationRequested, OrderCancelled, OrderChange, OrderPlaced, OrderRecorded, OrderUpdated},
    envelope::{Envelope, Event},
    kafka::KafkaConfig,
    producer::{Producer, SendError, event_headers},
};

/// Consumer group, and name of the service.
pub const NAME: &str = "dispatch";

/// Configuration of `dispatch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have.
    #[serde(flatten)]
    pub common: Common,
    /// Kafka.
    pub kafka: KafkaConfig,
}

impl Default for Config {
    fn default() -> Self {
        // it does nothing but wait for acknowledgements: the more at once, the more go in one request
        Self { common: Common::on_admin_port(9104), kafka: KafkaConfig { concurrency: 128, ..KafkaConfig::default() } }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.kafka.check(problems);
    }
}

/// Reads the order topics until the process stops.
///
/// # Errors
/// Where librdkafka refuses the settings.
pub async fn run(config: Config, process: Process) -> Result<(), StartError> {
    let topics = [OrderPlaced::TOPIC, OrderUpdated::TOPIC, OrderCancelled::TOPIC];
    let scenarios = process.scenarios.clone();
    let handler = Dispatch { producer: Producer::new(&config.kafka, NAME)?.heeding(&scenarios), scenarios };
    consumer::run(&config.kafka, NAME, &topics, handler, &process).await
}

struct Dispatch {
    producer: Producer,
    scenarios: Scenarios,
}

impl Handler for Dispatch {
    async fn handle(&self, record: &Record) -> Result<Handled, HandleError> {
        match record.event_type()?.as_str() {
            OrderPlaced::TYPE => {
                let event = record.decode::<OrderPlaced>()?;
                self.send(&event, placed_notice(&event.data), Some(placed_fact(&event.data))).await?;
            }
            OrderUpdated::TYPE => {
                let event = record.decode::<OrderUpdated>()?;
                self.send(&event, updated_notice(&event.data), None).await?;
            }
            OrderCancelled::TYPE => {
                let event = record.decode::<OrderCancelled>()?;
                self.send(&event, cancelled_notice(&event.data), Some(cancelled_fact(&event.data))).await?;
            }
            other => return Err(HandleError::permanent(format!("event_type {other} is unknown here"))),
        }
        Ok(Handled::Now)
    }
}

impl Dispatch {
    async fn send<T: Event>(
        &self,
        source: &Envelope<T>,
        notice: NotificationRequested,
        fact: Option<OrderRecorded>,
    ) -> Result<(), HandleError> {
        let notice = source.derive(notice);
        let fact = fact.map(|fact| source.derive(fact));
        let send_fact = async {
            match &fact {
                Some(fact) => self.producer.send(fact).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(self.producer.send(&notice), send_fact)?;
        if self.scenarios.strikes(Scenario::PoisonMessages) {
            self.poison(&notice).await?;
        }
        Ok(())
    }
}

impl Dispatch {
    /// [`Scenario::PoisonMessages`]: what a broken serialiser writes, beside the real record.
    async fn poison(&self, notice: &Envelope<NotificationRequested>) -> Result<(), HandleError> {
        let topic = self.scenarios.text(Scenario::PoisonMessages, "topic").unwrap_or_default();
        let mut text = serde_json::to_vec(notice).map_err(SendError::from)?;
        text.truncate(text.len() / 2);
        let headers = event_headers(&notice.event_id.to_string());
        Ok(self.producer.send_raw(&topic, &notice.aggregate_id.to_string(), &text, headers).await?)
    }
}

fn placed_notice(order: &OrderPlaced) -> NotificationRequested {
    NotificationRequested {
        change: OrderChange::Placed,
        order_id: order.order_id,
        username: order.username.clone(),
        email: order.email.clone(),
        status: None,
        items: order.items.clone(),
        total_amount: Some(order.total_amount),
        currency: order.currency.clone(),
    }
}

fn updated_notice(order: &OrderUpdated) -> NotificationRequested {
    NotificationRequested {
        change: OrderChange::Updated,
        order_id: order.order_id,
        username: order.username.clone(),
        email: order.email.clone(),
        status: Some(order.status.clone()),
        items: Vec::new(),
        total_amount: None,
        currency: String::new(),
    }
}

fn cancelled_notice(order: &OrderCancelled) -> NotificationRequested {
    NotificationRequested {
        change: OrderChange::Cancelled,
        order_id: order.order_id,
        username: order.username.clone(),
        email: order.email.clone(),
        status: None,
        items: order.items.clone(),
        total_amount: Some(order.total_amount),
        currency: order.currency.clone(),
    }
}

/// What analytics is told of an order that was placed.
pub fn placed_fact(order: &OrderPlaced) -> OrderRecorded {
    OrderRecorded {
        change: OrderChange::Placed,
        order_id: order.order_id,
        placed_at: order.timestamp,
        items: order.items.clone(),
        total_amount: order.total_amount,
        currency: order.currency.clone(),
    }
}

fn cancelled_fact(order: &OrderCancelled) -> OrderRecorded {
    OrderRecorded {
        change: OrderChange::Cancelled,
        order_id: order.order_id,
        placed_at: order.placed_at,
        items: order.items.clone(),
        total_amount: order.total_amount,
        currency: order.currency.clone(),
    }
}
