//! An auth service of one's own: a database, a key prefix, and a proxy before each server.

use std::net::SocketAddr;

use auth::{App, Config, PasswordConfig};
use bb8_redis::redis::{Client, FromRedisValue, aio::MultiplexedConnection, cmd};
use chassis::{
    Process,
    config::Secret,
    grpc::Channel,
    redis::RedisConfig,
    runtime::{Model, RuntimeConfig},
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
    LoginRequest, LoginResponse, LogoutRequest, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest, User, ValidateTokenRequest,
    ValidateTokenResponse, auth_service_client::AuthServiceClient, session_service_client::SessionServiceClient,
    user_service_client::UserServiceClient,
};
use serde_json::Value;
use telemetry::Mode;
use tonic::{Request, Status};
use uuid::Uuid;

pub(crate) use crate::answer::{assert_unavailable, info, reason, wrong_fields};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const EMAIL: &str = "ada@example.org";
pub(crate) const SECRET: &str = "a secret of the tests, and of nobody else";

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) postgres: TestProxy,
    pub(crate) redis: TestProxy,
    /// What the keys of sessions begin with.
    pub(crate) prefix: String,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    config: Config,
}

/// Somebody who has logged in.
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    pub(crate) session_id: String,
}

impl Person {
    pub(crate) fn id(&self) -> String {
        self.user.user_id.clone()
    }

    /// A message that this person sends.
    pub(crate) fn says<M>(&self, message: M) -> Request<M> {
        bearer(&self.token, message)
    }
}

pub(crate) fn bearer<M>(token: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
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
        let address = run(&config, &process);
        Self { database, postgres, redis, prefix, process, address, config }
    }

    /// Another replica over the same servers, with other settings where `change` makes some.
    pub(crate) fn replica(&self, change: impl FnOnce(&mut Config)) -> (Process, Channel) {
        self.replica_in(Process::default(), change)
    }

    /// The same, with a thread for each connection.
    pub(crate) fn replica_on_threads(&self) -> (Process, Channel) {
        let runtime = RuntimeConfig { model: Model::ThreadPerConnection, ..RuntimeConfig::default() };
        self.replica_in(Process::new(runtime, Mode::Off), |_| ())
    }

    fn replica_in(&self, process: Process, change: impl FnOnce(&mut Config)) -> (Process, Channel) {
        let mut config = self.config.clone();
        change(&mut config);
        let address = run(&config, &process);
        (process, chassis::grpc::channel(&format!("http://{address}")).unwrap())
    }

    pub(crate) fn channel(&self) -> Channel {
        chassis::grpc::channel(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn client(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel())
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel())
    }

    pub(crate) fn session_service(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel())
    }

    pub(crate) async fn register(&self, username: &str, email: &str, password: &str) -> Result<User, Status> {
        let request = RegisterRequest { username: username.into(), email: email.into(), password: password.into() };
        Ok(self.client().register(request).await?.into_inner().user.expect("an answer has a user"))
    }

    /// An account of `ada`, with [`EMAIL`] and [`PASSWORD`].
    pub(crate) async fn ada(&self) -> User {
        self.register("ada", EMAIL, PASSWORD).await.unwrap()
    }

    /// An account of this name, logged in with [`PASSWORD`].
    pub(crate) async fn person(&self, name: &str) -> Person {
        self.register(name, &format!("{name}@example.org"), PASSWORD).await.unwrap();
        self.again(name).await
    }

    /// The same, and an admin.
    pub(crate) async fn admin(&self, name: &str) -> Person {
        let user = self.register(name, &format!("{name}@example.org"), PASSWORD).await.unwrap();
        self.execute(&format!("UPDATE auth.users SET role = 'admin' WHERE user_id = '{}'", user.user_id)).await;
        self.again(name).await
    }

    /// Another session of an account.
    pub(crate) async fn again(&self, name: &str) -> Person {
        let LoginResponse { user, access_token, refresh_token, session_id, .. } =
            self.login(&format!("{name}@example.org"), PASSWORD).await.unwrap();
        Person { user: user.unwrap(), token: access_token, refresh_token, session_id }
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<LoginResponse, Status> {
        self.login_from("", email, password).await
    }

    pub(crate) async fn login_from(&self, client_address: &str, email: &str, password: &str) -> Result<LoginResponse, Status> {
        let request = LoginRequest { email: email.into(), password: password.into(), client_address: client_address.into() };
        Ok(self.client().login(request).await?.into_inner())
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<RefreshTokenResponse, Status> {
        Ok(self.client().refresh_token(RefreshTokenRequest { refresh_token: token.into() }).await?.into_inner())
    }

    pub(crate) async fn logout(&self, token: &str) -> Result<(), Status> {
        self.client().logout(LogoutRequest { access_token: token.into() }).await.map(drop)
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

    /// All that is in Redis, without the prefix, in order. Nothing of it may last without end.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let prefix = &self.config.session.key_prefix;
        let mut keys: Vec<String> = self.redis("KEYS", &[&format!("{prefix}*")]).await;
        for key in &keys {
            let ttl: i64 = self.redis("TTL", &[key]).await;
            // -2: it has gone since
            assert!(ttl >= 0 || ttl == -2, "{key} lasts without end");
        }
        keys.sort_unstable();
        keys.iter().map(|key| key.strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    /// A key as [`keys`](Self::keys) shows it, in full.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.config.session.key_prefix)
    }

    /// Types of the events that wait for Kafka, oldest first.
    pub(crate) async fn told(&self) -> Vec<String> {
        self.outbox().await.iter().map(|row| row.envelope().event_type).collect()
    }
}

fn run(config: &Config, process: &Process) -> SocketAddr {
    let app = App::build(config.clone(), process.clone()).unwrap();
    let address = app.address().unwrap();
    spawn(async move { app.run().await.unwrap() });
    address
}

fn redis_url() -> String {
    std::env::var("THROUGHLINE_TEST_REDIS_URL").expect("THROUGHLINE_TEST_REDIS_URL names no Redis: run ./mesh test, which starts one")
}
