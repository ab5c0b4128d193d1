//! The service under test, and what a test asks of it.

use std::collections::HashMap;

use chassis::{
    Process, StartError,
    config::{Address, Common},
    spawn,
};
use db::{
    pool::DatabaseConfig,
    roles::Role,
    schema::orders::{order_items, orders as orders_table, outbox, stock},
    testing::TestDatabase,
};
use diesel::{ExpressionMethods, QueryDsl, QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use events::testing::PATIENCE;
use orders::{App, Config};
use proto::orders::{
    CancelOrderRequest, Customer, GetOrderRequest, GetOrderStatsRequest, GetOrderStatsResponse, Item, ListOrdersRequest,
    ListOrdersResponse, Order, OrderStatus, PlaceOrderRequest, PlaceOrderResponse, UpdateOrderStatusRequest,
    customer_service_client::CustomerServiceClient, order_service_client::OrderServiceClient, report_service_client::ReportServiceClient,
    stock_service_client::StockServiceClient,
};
use telemetry::{Mode, TelemetryConfig};
use tokio::{task::JoinHandle, time::timeout};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::catalog::FakeCatalog;

pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) catalog: FakeCatalog,
    pub(crate) client: OrderServiceClient<Channel>,
    pub(crate) process: Process,
    pub(crate) channel: Channel,
    task: JoinHandle<Result<(), StartError>>,
}

/// Gives up when production does.
pub(crate) fn hurried(config: &mut Config) {
    let usual = Config::default();
    config.database = DatabaseConfig { url: config.database.url.clone(), ..usual.database };
    config.upstream.timeout_ms = usual.upstream.timeout_ms;
}

impl Shop {
    /// Without a broker: what is to be published stays in the outbox.
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    /// With settings of the test's own, over those that wait for long; see [`hurried`].
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let telemetry = TelemetryConfig { mode: Mode::Off, ..TelemetryConfig::default() };
        telemetry::start(&telemetry, "orders").expect("telemetry");
        let (database, catalog) = tokio::join!(TestDatabase::create(), FakeCatalog::start());
        let mut config = Config { common: Common::on_admin_port(0), server: Address::local(0), ..Config::default() };
        config.database = database.patient(Role::Orders);
        config.upstream.timeout_ms = 30_000;
        config.upstream.catalog_cache = format!("http://{}", catalog.address);
        config.kafka.brokers = "127.0.0.1:1".into();
        change(&mut config);
        let process = Process::default();
        let app = App::build(config, process.clone()).unwrap();
        let address = app.address().unwrap();
        let task = spawn(app.run());
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let client = OrderServiceClient::new(channel.clone());
        Self { database, catalog, client, process, channel, task }
    }

    pub(crate) async fn place(&self, customer: &Customer, items: &[(Uuid, u32)], key: &str) -> Result<PlaceOrderResponse, Status> {
        self.send(request(customer, items, key)).await
    }

    pub(crate) async fn send(&self, request: PlaceOrderRequest) -> Result<PlaceOrderResponse, Status> {
        self.client.clone().place_order(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&self, order_id: &str, user_id: &str) -> Result<Order, Status> {
        self.get_with(GetOrderRequest { order_id: order_id.into(), user_id: user_id.into(), ..GetOrderRequest::default() }).await
    }

    pub(crate) async fn get_with(&self, request: GetOrderRequest) -> Result<Order, Status> {
        self.client.clone().get_order(request).await.map(|response| response.into_inner().order.unwrap())
    }

    pub(crate) async fn list(&self, user_id: &str, page_size: u32, page_token: &str) -> Result<ListOrdersResponse, Status> {
        let (user_id, page_token) = (user_id.into(), page_token.into());
        self.list_with(ListOrdersRequest { user_id, page_size, page_token, ..ListOrdersRequest::default() }).await
    }

    pub(crate) async fn list_with(&self, request: ListOrdersRequest) -> Result<ListOrdersResponse, Status> {
        self.client.clone().list_orders(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn step(&self, order_id: &str, status: OrderStatus) -> Result<Order, Status> {
        self.update(UpdateOrderStatusRequest { order_id: order_id.into(), status: status.into(), version: None }).await
    }

    pub(crate) async fn update(&self, request: UpdateOrderStatusRequest) -> Result<Order, Status> {
        self.client.clone().update_order_status(request).await.map(|response| response.into_inner().order.unwrap())
    }

    pub(crate) async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        self.cancel_with(CancelOrderRequest { order_id: order_id.into(), ..CancelOrderRequest::default() }).await
    }

    pub(crate) async fn cancel_with(&self, request: CancelOrderRequest) -> Result<Order, Status> {
        self.client.clone().cancel_order(request).await.map(|response| response.into_inner().order.unwrap())
    }

    pub(crate) async fn stats(&self, request: GetOrderStatsRequest) -> Result<GetOrderStatsResponse, Status> {
        self.client.clone().get_order_stats(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) fn customers(&self) -> CustomerServiceClient<Channel> {
        CustomerServiceClient::new(self.channel.clone())
    }

    pub(crate) fn shelves(&self) -> StockServiceClient<Channel> {
        StockServiceClient::new(self.channel.clone())
    }

    pub(crate) fn reports(&self) -> ReportServiceClient<Channel> {
        ReportServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn connection(&self) -> AsyncPgConnection {
        db::connect::connect(&self.database.admin_url()).await.unwrap()
    }

    /// Runs statements as the database's owner.
    pub(crate) async fn run_sql(&self, statements: &str) {
        self.connection().await.batch_execute(statements).await.unwrap();
    }

    /// A number that a query as the database's owner gives.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        let query = sql_query(format!("SELECT ({query})::bigint AS number"));
        query.get_result::<Number>(&mut self.connection().await).await.unwrap().number
    }

    /// Settings that sessions of this database begin with, from now on.
    pub(crate) async fn set(&self, setting: &str) {
        self.run_sql(&format!("ALTER DATABASE \"{}\" SET {setting}", self.database.name())).await;
    }

    /// Statements of the service that wait for somebody's lock.
    pub(crate) async fn waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'orders' AND wait_event_type = 'Lock'";
        self.number(waiting).await
    }

    /// Ends the service's sessions, which tell what they have counted when they end.
    pub(crate) async fn end_sessions(&self) {
        let left = "SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'orders'";
        assert_eq!(self.number(left).await, 0);
    }

    /// Deadlocks that Postgres has ever broken in this database.
    pub(crate) async fn deadlocks(&self) -> i64 {
        self.end_sessions().await;
        self.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await
    }

    pub(crate) async fn put_on_shelf(&self, product: Uuid, pieces: i32) {
        let update = diesel::update(stock::table.find(product)).set(stock::available.eq(pieces));
        assert_eq!(update.execute(&mut self.connection().await).await.unwrap(), 1);
    }

    pub(crate) async fn on_shelf(&self, product: Uuid) -> i32 {
        stock::table.find(product).select(stock::available).get_result(&mut self.connection().await).await.unwrap()
    }

    /// Rows of orders, of their lines and of the outbox.
    pub(crate) async fn written(&self) -> (i64, i64, i64) {
        let mut connection = self.connection().await;
        (
            orders_table::table.count().get_result(&mut connection).await.unwrap(),
            order_items::table.count().get_result(&mut connection).await.unwrap(),
            outbox::table.count().get_result(&mut connection).await.unwrap(),
        )
    }

    pub(crate) async fn close(mut self) {
        self.process.shutdown.cancel();
        drop((self.client, self.channel));
        timeout(PATIENCE, &mut self.task).await.expect("it stops in time").unwrap().unwrap();
    }
}

/// The first demo products.
pub(crate) fn products<const N: usize>() -> [Uuid; N] {
    let all = db::seed::products();
    std::array::from_fn(|index| all[index].product_id)
}

pub(crate) fn customer() -> Customer {
    Customer { user_id: Uuid::now_v7().to_string(), username: "Ada".into(), email: "ada@example.com".into() }
}

pub(crate) fn request(customer: &Customer, items: &[(Uuid, u32)], key: &str) -> PlaceOrderRequest {
    let items = items.iter().map(|(id, quantity)| Item { product_id: id.to_string(), quantity: *quantity }).collect();
    PlaceOrderRequest { customer: Some(customer.clone()), items, idempotency_key: key.into() }
}

/// The error says `UNAVAILABLE`, and when to come again.
pub(crate) fn assert_unavailable(what: &str, status: &Status) {
    use tonic_types::StatusExt;
    assert_eq!(status.code(), tonic::Code::Unavailable, "{what}: {status:?}");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{what}: {status:?}");
    assert_eq!(status.message(), "a dependency is unavailable", "causes stay inside");
}

/// The `reason` of an error, and its metadata.
pub(crate) fn reason(status: &Status) -> (String, HashMap<String, String>) {
    use tonic_types::StatusExt;
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "throughline");
    (info.reason, info.metadata)
}

/// The fields that an error names, sorted.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt;
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let bad = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    let mut fields: Vec<String> = bad.field_violations.into_iter().map(|violation| violation.field).collect();
    fields.sort();
    fields
}
