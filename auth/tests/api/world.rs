//! An auth service of one's own: a database, a key prefix, and a proxy before each server.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use auth::{App, Config, PasswordConfig};
use bb8_redis::redis::{Client, FromRedisValue, aio::MultiplexedConnection, cmd};
use chassis::{
    Process,
    config::Secret,
    grpc::Channel,
    redis::RedisConfig,
    spawn,
    testing::{TestProxy, patient_redis},
};
use db::{connect::connect, pool::DatabaseConfig, roles::Role, testing::TestDatabase};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, SmallInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use events::envelope::Envelope;
use proto::auth::{
    LoginRequest, LoginResponse, RegisterRequest, User, ValidateTokenRequest, ValidateTokenResponse, auth_service_client::AuthServiceClient,
};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const EMAIL: &str = "ada@example.org";
pub(crate) const SECRET: &str = "a secret of the tests, and of nobody else";
/// What a caller may wait for an answer, whatever hangs.
const LIMIT: Duration = Duration::from_millis(1_800);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) postgres: TestProxy,
    pub(crate) redis: TestProxy,
    /// What the keys of sessions begin with.
    pub(crate) prefix: String,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// A row of the outbox.
#[derive(Debug, QueryableByName)]
pub(crate) struct Outgoing {
    #[diesel(sql_type = Text)]
    pub(crate) topic: String,
    #[diesel(sql_type = Text)]
    pub(crate) key: String,
    #[diesel(sql_type = SmallInt)]
    pub(crate) shard: i16,
    #[diesel(sql_type = Text)]
    payload: String,
}

impl Outgoing {
    pub(crate) fn envelope(&self) -> Envelope<Value> {
        serde_json::from_str(&self.payload).unwrap()
    }
}

/// Gives up when production does.
pub(crate) fn hurried(config: &mut Config) {
    let usual = Config::default();
    config.database = DatabaseConfig { url: config.database.url.clone(), ..usual.database };
    config.redis = RedisConfig { url: config.redis.url.clone(), ..usual.redis };
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let database = TestDatabase::create().await;
        let (postgres, postgres_url) = TestProxy::for_url(&database.url(Role::Auth)).await;
        let (redis, redis_url) = TestProxy::for_url(&redis_url()).await;
        let nobody = TestProxy::start("127.0.0.1:1").await;
        nobody.cut();
        let key_prefix = format!("test:{}:", Uuid::now_v7());
        let prefix = format!("{key_prefix}session:");
        let mut config = Config::default();
        config.server.address.set_port(0);
        config.database = DatabaseConfig { url: Secret::new(postgres_url), ..database.patient(Role::Auth) };
        config.redis = patient_redis(redis_url);
        config.kafka.brokers = nobody.address().to_string();
        config.jwt.secret = Secret::new(SECRET);
        config.session.key_prefix = key_prefix;
        config.password = PasswordConfig { m_cost_kib: 64, t_cost: 1, p_cost: 1 };
        change(&mut config);
        let process = Process::default();
        let app = App::build(config, process.clone()).unwrap();
        let address = app.address().unwrap();
        spawn(async move { app.run().await.unwrap() });
        Self { database, postgres, redis, prefix, process, address }
    }

    pub(crate) fn channel(&self) -> Channel {
        chassis::grpc::channel(&format!("http://{}", self.address)).unwrap()
    }

    fn client(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel())
    }

    pub(crate) async fn register(&self, username: &str, email: &str, password: &str) -> Result<User, Status> {
        let request = RegisterRequest { username: username.into(), email: email.into(), password: password.into() };
        Ok(self.client().register(request).await?.into_inner().user.expect("an answer has a user"))
    }

    /// An account of `ada`, with [`EMAIL`] and [`PASSWORD`].
    pub(crate) async fn ada(&self) -> User {
        self.register("ada", EMAIL, PASSWORD).await.unwrap()
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<LoginResponse, Status> {
        Ok(self.client().login(LoginRequest { email: email.into(), password: password.into() }).await?.into_inner())
    }

    pub(crate) async fn validate(&self, token: &str) -> Result<ValidateTokenResponse, Status> {
        Ok(self.client().validate_token(ValidateTokenRequest { access_token: token.into() }).await?.into_inner())
    }

    /// Runs statements as the database's owner.
    pub(crate) async fn execute(&self, statements: &str) {
        connect(&self.database.admin_url()).await.unwrap().batch_execute(statements).await.unwrap();
    }

    /// A text that the database's owner selects as `text`.
    pub(crate) async fn text(&self, query: &str) -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let mut connection = connect(&self.database.admin_url()).await.unwrap();
        sql_query(query).get_result::<Row>(&mut connection).await.unwrap().text
    }

    pub(crate) async fn count(&self, from: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let mut connection = connect(&self.database.admin_url()).await.unwrap();
        sql_query(format!("SELECT count(*) AS count FROM {from}")).get_result::<Row>(&mut connection).await.unwrap().count
    }

    /// What waits for Kafka, oldest first.
    pub(crate) async fn outbox(&self) -> Vec<Outgoing> {
        let mut connection = connect(&self.database.admin_url()).await.unwrap();
        sql_query("SELECT topic, key, shard, payload FROM auth.outbox ORDER BY id").load(&mut connection).await.unwrap()
    }

    /// Asks Redis itself, past the proxy.
    pub(crate) async fn redis<T: FromRedisValue>(&self, command: &str, arguments: &[&str]) -> T {
        let mut connection: MultiplexedConnection = Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        cmd(command).arg(arguments).query_async(&mut connection).await.unwrap()
    }

    /// Keys of the sessions that live.
    pub(crate) async fn sessions(&self) -> Vec<String> {
        self.redis("KEYS", &[&format!("{}*", self.prefix)]).await
    }
}

fn redis_url() -> String {
    std::env::var("THROUGHLINE_TEST_REDIS_URL").expect("THROUGHLINE_TEST_REDIS_URL names no Redis: run ./mesh test, which starts one")
}

/// The fields that an `INVALID_ARGUMENT` names.
pub(crate) fn wrong_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// The `ErrorInfo` of a failure with that code.
pub(crate) fn info(status: &Status, code: Code) -> ErrorInfo {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.domain, "throughline");
    info
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
