//! `analytics`: rollups in Postgres, and the best-seller list in Redis.

mod store;

use std::sync::Arc;

use bb8_redis::redis::AsyncCommands;
use chassis::{
    Process, StartError,
    config::{Common, Problems, ServiceConfig},
    redis::{Redis, RedisConfig},
};
use db::connection::Connection;
use db::pool::{DatabaseConfig, Pool};
use diesel_async::AsyncConnection;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    consumer::{self, HandleError, Handled, Handler, Record},
    contract::{OrderChange, OrderRecorded, UserCreated, UserDeleted, UserLoggedIn, UserLoggedOut, UserUpdated},
    effects,
    envelope::{Envelope, Event},
    kafka::KafkaConfig,
    retention,
};

/// Consumer group, and name of the service.
pub const NAME: &str = "analytics";

/// Configuration of `analytics`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What all services have.
    #[serde(flatten)]
    pub common: Common,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Key of the sorted set: units sold by product id.
    pub leaderboard_key: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::on_admin_port(9106),
            kafka: KafkaConfig::default(),
            database: DatabaseConfig::default(),
            redis: RedisConfig::default(),
            leaderboard_key: "throughline:leaderboard:products".into(),
        }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
        self.kafka.check(problems);
        self.database.check(problems);
        self.redis.check(problems);
        if self.leaderboard_key.is_empty() {
            problems.add("leaderboard_key", &self.leaderboard_key, "a key");
        }
    }
}

/// Reads facts and user events until the process stops.
///
/// # Errors
/// Where a client cannot be made.
pub async fn run(config: Config, process: Process) -> Result<(), StartError> {
    let (pool, redis) = (Pool::new(&config.database, NAME, &process)?, Redis::new(&config.redis, NAME, &process)?);
    retention::forget_ids(pool.clone(), NAME, &process);
    let connections = Arc::new(Semaphore::new(usize::try_from(config.database.pool_size)?));
    let handler = Analytics { pool, connections, redis, leaderboard_key: config.leaderboard_key };
    consumer::run(&config.kafka, NAME, &[OrderRecorded::TOPIC, UserCreated::TOPIC], handler, &process).await
}

struct Analytics {
    pool: Pool,
    /// One permit a connection: whoever waits for their turn here does not take Postgres for away.
    connections: Arc<Semaphore>,
    redis: Redis,
    leaderboard_key: String,
}

impl Handler for Analytics {
    async fn handle(&self, record: &Record) -> Result<Handled, HandleError> {
        let effect = match Effect::of(record)? {
            Asked::Effect(effect) => effect,
            Asked::Nothing(handled) => return Ok(handled),
        };
        let _turn = self.connections.acquire().await.map_err(|error| HandleError::unavailable(error.to_string()))?;
        // a Postgres that hangs must not hang us
        let work = async {
            let mut connection = self.pool.get().await?;
            let transaction = connection.transaction(async |connection| {
                if !effects::claim(connection, NAME, effect.event_id()).await? {
                    return Ok(Handled::Before);
                }
                self.apply(connection, &effect).await?;
                Ok(Handled::Now)
            });
            transaction.await
        };
        self.pool.bounded(work).await
    }
}

/// What a record asks of this service.
enum Asked {
    Effect(Effect),
    Nothing(Handled),
}

/// What an event asks for.
enum Effect {
    Order(Envelope<OrderRecorded>),
    Registration(Envelope<UserCreated>),
    Login(Envelope<UserLoggedIn>),
}

impl Effect {
    fn of(record: &Record) -> Result<Asked, HandleError> {
        match record.event_type()?.as_str() {
            OrderRecorded::TYPE => Ok(Asked::Effect(Self::Order(record.decode()?))),
            UserCreated::TYPE => Ok(Asked::Effect(Self::Registration(record.decode()?))),
            UserLoggedIn::TYPE => Ok(Asked::Effect(Self::Login(record.decode()?))),
            // of these nothing is counted
            UserUpdated::TYPE | UserDeleted::TYPE | UserLoggedOut::TYPE => Ok(Asked::Nothing(Handled::Now)),
            // new types come to the topic of many types; the other one carries facts alone
            _ if record.topic.starts_with(UserCreated::TOPIC) => Ok(Asked::Nothing(Handled::Ignored)),
            other => Err(HandleError::permanent(format!("event_type {other} is unknown here"))),
        }
    }

    fn event_id(&self) -> Uuid {
        match self {
            Self::Order(event) => event.event_id,
            Self::Registration(event) => event.event_id,
            Self::Login(event) => event.event_id,
        }
    }
}

impl Analytics {
    async fn apply(&self, connection: &mut Connection, effect: &Effect) -> Result<(), HandleError> {
        match effect {
            Effect::Order(event) => self.record_order(connection, &event.data).await,
            Effect::Registration(event) => Ok(store::add_registration(connection, event.data.timestamp.date_naive()).await?),
            Effect::Login(event) => Ok(store::add_login(connection, event.data.timestamp.date_naive()).await?),
        }
    }

    async fn record_order(&self, connection: &mut Connection, order: &OrderRecorded) -> Result<(), HandleError> {
        // a change of status sells nothing, and Redis refuses an empty list
        if order.change == OrderChange::Updated {
            return Ok(());
        }
        if order.items.is_empty() {
            return Ok(store::add_order(connection, order).await?);
        }
        let sales = store::add_sales(connection, order).await?;
        // Written while the rows' locks are held: Redis gets each product's totals in the order in which Postgres does, and as
        // absolute numbers, so that a repeat changes nothing.
        let scores: Vec<(i64, String)> = sales.into_iter().map(|(product_id, units)| (units, product_id.to_string())).collect();
        let _: i64 = self.redis.connection().await?.zadd_multiple(&self.leaderboard_key, &scores).await?;
        // the day's row, which every order wants, is locked last and so for the shortest time
        Ok(store::add_order(connection, order).await?)
    }
}
