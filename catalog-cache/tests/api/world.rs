//! A catalogue of one's own: a database, a key prefix, and a proxy before each server.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bb8_redis::redis::{Client, FromRedisValue, aio::MultiplexedConnection, cmd};
use catalog_cache::{App, Config};
use chassis::{
    Process,
    config::Secret,
    grpc::Channel,
    redis::RedisConfig,
    spawn,
    testing::{TestProxy, patient_redis},
};
use db::{connect::connect, pool::DatabaseConfig, roles::Role, seed, testing::TestDatabase};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use proto::catalog::{
    GetProductRequest, Product, leaderboard_service_client::LeaderboardServiceClient, post_service_client::PostServiceClient,
    product_service_client::ProductServiceClient, rate_limit_service_client::RateLimitServiceClient,
};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

/// What a caller may wait for an answer, whatever hangs.
pub(crate) const LIMIT: Duration = Duration::from_millis(1_800);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) postgres: TestProxy,
    pub(crate) redis: TestProxy,
    pub(crate) prefix: String,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// Gives up when production does.
pub(crate) fn hurried(config: &mut Config) {
    let usual = Config::default();
    config.database = DatabaseConfig { url: config.database.url.clone(), ..usual.database };
    config.redis = RedisConfig { url: config.redis.url.clone(), ..usual.redis };
}

/// Another process over the same database and the same keys, with a proxy of its own before Redis.
pub(crate) struct Replica {
    pub(crate) redis: TestProxy,
    pub(crate) address: SocketAddr,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let database = TestDatabase::create().await;
        let (postgres, postgres_url) = TestProxy::for_url(&database.url(Role::Catalog)).await;
        let (redis, redis_url) = TestProxy::for_url(&redis_url()).await;
        let prefix = format!("test:{}:", Uuid::now_v7());
        let mut config = patient_config(&database, &prefix, redis_url);
        config.database.url = Secret::new(postgres_url);
        change(&mut config);
        let process = Process::default();
        let address = serve(config, &process);
        Self { database, postgres, redis, prefix, process, address }
    }

    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with(|_| {}).await
    }

    pub(crate) async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Replica {
        let (redis, redis_url) = TestProxy::for_url(&redis_url()).await;
        let mut config = patient_config(&self.database, &self.prefix, redis_url);
        change(&mut config);
        let address = serve(config, &Process::default());
        Replica { redis, address }
    }

    /// A client with a connection of its own.
    pub(crate) fn client(&self) -> ProductServiceClient<Channel> {
        ProductServiceClient::new(channel(self.address))
    }

    pub(crate) fn posts(&self) -> PostServiceClient<Channel> {
        PostServiceClient::new(channel(self.address))
    }

    pub(crate) fn limits(&self) -> RateLimitServiceClient<Channel> {
        RateLimitServiceClient::new(channel(self.address))
    }

    pub(crate) fn bestsellers(&self) -> LeaderboardServiceClient<Channel> {
        LeaderboardServiceClient::new(channel(self.address))
    }

    pub(crate) async fn admin(&self) -> AsyncPgConnection {
        connect(&self.database.admin_url()).await.unwrap()
    }

    /// Runs statements as the database's owner.
    pub(crate) async fn execute(&self, statements: &str) {
        self.admin().await.batch_execute(statements).await.unwrap();
    }

    /// Products beside the demo's.
    pub(crate) async fn add_products(&self, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::now_v7).take(count).collect();
        let rows: Vec<String> = ids.iter().map(|id| format!("('{id}', '{}', 'x', 'x', 1, 'EUR')", id.simple())).collect();
        let insert = "INSERT INTO catalog.products (product_id, sku, name, category, price, currency) VALUES";
        self.execute(&format!("{insert} {}", rows.join(", "))).await;
        ids
    }

    pub(crate) fn key(&self, id: Uuid) -> String {
        format!("{}{id}", self.prefix)
    }

    /// What the cache holds of a product, as it stands there.
    pub(crate) async fn entry(&self, id: Uuid) -> Option<Value> {
        let text: Option<String> = self.redis("GET", &[&self.key(id)]).await;
        text.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// Makes the entry of a product one that is no longer fresh.
    pub(crate) async fn expire(&self, id: Uuid) {
        let entry = self.entry(id).await.expect("an entry");
        // in the order in which the service writes it
        let text = format!(r#"{{"fresh_until":1,"version":{},"value":{}}}"#, entry["version"], entry["value"]);
        let () = self.redis("SET", &[&self.key(id), &text, "KEEPTTL"]).await;
    }

    /// A number that a query as the database's owner gives.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        sql_query(format!("SELECT ({query})::bigint AS number")).get_result::<Number>(&mut self.admin().await).await.unwrap().number
    }

    /// Asks Redis itself, past the proxy.
    pub(crate) async fn redis<T: FromRedisValue>(&self, command: &str, arguments: &[&str]) -> T {
        let mut connection: MultiplexedConnection = Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        cmd(command).arg(arguments).query_async(&mut connection).await.unwrap()
    }
}

/// Gives up after the test does.
fn patient_config(database: &TestDatabase, prefix: &str, redis_url: String) -> Config {
    let mut config = Config::default();
    config.server.address.set_port(0);
    config.database = database.patient(Role::Catalog);
    config.redis = patient_redis(redis_url);
    prefix.clone_into(&mut config.cache.key_prefix);
    config.cache.post_key_prefix = format!("{prefix}post:");
    config.limiter.key_prefix = format!("{prefix}limit:");
    config.leaderboard.key = format!("{prefix}leaderboard");
    config
}

fn serve(config: Config, process: &Process) -> SocketAddr {
    let app = App::build(config, process.clone()).unwrap();
    let address = app.address();
    spawn(async move { app.run().await.unwrap() });
    address
}

pub(crate) fn channel(address: SocketAddr) -> Channel {
    chassis::grpc::channel(&format!("http://{address}")).unwrap()
}

pub(crate) fn redis_url() -> String {
    std::env::var("THROUGHLINE_TEST_REDIS_URL").expect("THROUGHLINE_TEST_REDIS_URL names no Redis: run ./mesh test, which starts one")
}

pub(crate) async fn get(client: &mut ProductServiceClient<Channel>, id: impl ToString) -> Result<Product, Status> {
    let response = client.get_product(GetProductRequest { product_id: id.to_string() }).await?;
    Ok(response.into_inner().product.expect("an answer has a product"))
}

/// The ids of the demo products, in order.
pub(crate) fn demo_ids() -> Vec<Uuid> {
    let mut ids: Vec<_> = seed::products().iter().map(|product| product.product_id).collect();
    ids.sort_unstable();
    ids
}

/// The fields that an `INVALID_ARGUMENT` names.
pub(crate) fn wrong_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// Code and reason of a refusal, and what it says of `name`.
pub(crate) fn refusal(status: &Status, name: &str) -> (Code, String, Option<String>) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    (status.code(), info.reason, info.metadata.get(name).cloned())
}

/// Asserts that a call was given up in time, with a hint when to come back, and without a word of the cause.
pub(crate) async fn assert_unavailable<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Status>>) {
    let begun = Instant::now();
    let status = call.await.expect_err("nothing to answer from");
    let taken = begun.elapsed();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "a dependency is unavailable"));
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
    assert!(taken < LIMIT, "{taken:?}");
}
