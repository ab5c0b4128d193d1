//! Reports over everybody's orders: one statement each, in a transaction whose settings are a report's.

use std::time::Duration;

use chrono::NaiveDate;
use db::connection::Connection;
use diesel::{
    QueryResult, QueryableByName,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_query,
    sql_types::{Array, BigInt, Date, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    error::OrderError,
    period::Period,
    stats::{CustomerRevenue, DayRevenue, OrderValues},
};

type Statement = BoxedSqlQuery<'static, Pg, SqlQuery>;

/// What an order has to be for these reports: `$1` to `$4` are the range of its id and the span of its time.
macro_rules! chosen {
    () => {
        "WHERE status <> 'cancelled' AND order_id >= $1 AND order_id < $2
           AND ($3 IS NULL OR created_at >= $3) AND ($4 IS NULL OR created_at < $4)"
    };
}

const BY_DAY: &str = concat!(
    "SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, count(*) AS orders, sum(total_amount) AS revenue
     FROM orders.orders ",
    chosen!(),
    " GROUP BY 1, 2 ORDER BY 1, 2"
);

/// Names are looked up of those only who are among the first.
const TOP_CUSTOMERS: &str = concat!(
    "SELECT ranked.currency, ranked.customer_id, customers.username, ranked.orders, ranked.revenue
     FROM (
        SELECT currency, customer_id, count(*) AS orders, sum(total_amount) AS revenue,
            row_number() OVER (PARTITION BY currency ORDER BY sum(total_amount) DESC, customer_id) AS place
        FROM orders.orders ",
    chosen!(),
    "   GROUP BY currency, customer_id
     ) AS ranked JOIN orders.customers USING (customer_id)
     WHERE ranked.place <= $5 ORDER BY ranked.currency, ranked.place"
);

const VALUES: &str = concat!(
    "SELECT currency, count(*) AS orders,
        percentile_disc(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY total_amount) AS amounts
     FROM orders.orders ",
    chosen!(),
    " GROUP BY currency ORDER BY currency"
);

/// The settings of a report, until its transaction ends.
///
/// Postgres itself ends a report whose time is up, and one whose caller has gone, which closes the connection. Sorting is
/// done in memory up to the usual number of orders. An index that is read from end to end is not dearer to read than a table.
pub(super) async fn begin(connection: &mut Connection, limit: Duration) -> QueryResult<()> {
    let settings = format!(
        "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL client_connection_check_interval = '100ms';
         SET LOCAL work_mem = '32MB'; SET LOCAL random_page_cost = 1.1",
        limit.as_millis().max(1)
    );
    connection.batch_execute(&settings).await
}

/// A report's statement with its first four parameters.
fn chosen(statement: &'static str, period: &Period) -> Statement {
    let ids = period.ids();
    sql_query(statement)
        .into_boxed()
        .bind::<SqlUuid, _>(ids.start)
        .bind::<SqlUuid, _>(ids.end)
        .bind::<Nullable<Timestamptz>, _>(period.from)
        .bind::<Nullable<Timestamptz>, _>(period.before)
}

async fn load<Row>(connection: &mut Connection, limit: Duration, statement: Statement) -> Result<Vec<Row>, OrderError>
where
    Row: QueryableByName<Pg> + Send + 'static,
{
    let report = connection.transaction(async move |connection| {
        begin(connection, limit).await?;
        Ok(statement.load(connection).await?)
    });
    report.await
}

#[derive(QueryableByName)]
struct DayRow {
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = Numeric)]
    revenue: Decimal,
}

/// What each day has brought.
pub(crate) async fn revenue_by_day(connection: &mut Connection, limit: Duration, period: &Period) -> Result<Vec<DayRevenue>, OrderError> {
    let rows: Vec<DayRow> = load(connection, limit, chosen(BY_DAY, period)).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(QueryableByName)]
struct CustomerRow {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = SqlUuid)]
    customer_id: Uuid,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = Numeric)]
    revenue: Decimal,
}

/// Who has ordered for most.
pub(crate) async fn top_customers(
    connection: &mut Connection,
    limit: Duration,
    period: &Period,
    number: u32,
) -> Result<Vec<CustomerRevenue>, OrderError> {
    let statement = chosen(TOP_CUSTOMERS, period).bind::<BigInt, _>(i64::from(number));
    let rows: Vec<CustomerRow> = load(connection, limit, statement).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(QueryableByName)]
struct ValuesRow {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = Array<Numeric>)]
    amounts: Vec<Decimal>,
}

/// What orders come to.
pub(crate) async fn order_values(connection: &mut Connection, limit: Duration, period: &Period) -> Result<Vec<OrderValues>, OrderError> {
    let rows: Vec<ValuesRow> = load(connection, limit, chosen(VALUES, period)).await?;
    Ok(rows.into_iter().filter_map(ValuesRow::values).collect())
}

impl From<DayRow> for DayRevenue {
    fn from(DayRow { day, currency, orders, revenue }: DayRow) -> Self {
        Self { day, currency, orders: orders.unsigned_abs(), revenue }
    }
}

impl From<CustomerRow> for CustomerRevenue {
    fn from(CustomerRow { currency, customer_id, username, orders, revenue }: CustomerRow) -> Self {
        Self { currency, customer_id, username, orders: orders.unsigned_abs(), revenue }
    }
}

impl ValuesRow {
    fn values(self) -> Option<OrderValues> {
        let [p50, p90, p95, p99] = self.amounts.try_into().ok()?;
        Some(OrderValues { currency: self.currency, orders: self.orders.unsigned_abs(), p50, p90, p95, p99 })
    }
}
