//! Orders, counted and summed in one statement: both halves are about the same moment.

use std::time::Duration;

use db::connection::Connection;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, RunQueryDsl};
use rust_decimal::{Decimal, RoundingStrategy};
use uuid::Uuid;

use super::report::begin;
use crate::{
    error::OrderError,
    period::Period,
    stats::{CurrencyStats, Stats},
    status::Status,
};

/// Each half reads an index for itself; a common table of both would be written out first. The middle is a value of an order, or
/// lies between two of them: the second fraction is the upper one where their number is even and the same where it is odd, with up to a
/// thousand million orders. (`percentile_cont` would compute with floats.)
const STATS: &str = "SELECT status, NULL AS currency, count(*) AS orders,
    NULL::numeric AS revenue, NULL::numeric AS average, NULL::numeric[] AS middle, NULL::numeric AS largest
FROM orders.orders
WHERE ($1 IS NULL OR customer_id = $1) AND order_id >= $2 AND order_id < $3
  AND ($4 IS NULL OR created_at >= $4) AND ($5 IS NULL OR created_at < $5)
GROUP BY status
UNION ALL
SELECT NULL, currency, count(*), sum(total_amount), round(avg(total_amount), 2),
    percentile_disc(ARRAY[0.5, 0.5000000001]) WITHIN GROUP (ORDER BY total_amount), max(total_amount)
FROM orders.orders
WHERE ($1 IS NULL OR customer_id = $1) AND order_id >= $2 AND order_id < $3
  AND ($4 IS NULL OR created_at >= $4) AND ($5 IS NULL OR created_at < $5) AND status <> 'cancelled'
GROUP BY currency
ORDER BY currency";

/// Either a status or a currency.
#[derive(QueryableByName)]
struct StatsRow {
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<Status>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<String>,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = Nullable<Numeric>)]
    revenue: Option<Decimal>,
    #[diesel(sql_type = Nullable<Numeric>)]
    average: Option<Decimal>,
    #[diesel(sql_type = Nullable<Array<Numeric>>)]
    middle: Option<Vec<Decimal>>,
    #[diesel(sql_type = Nullable<Numeric>)]
    largest: Option<Decimal>,
}

/// Counts the orders of a user in a time.
pub(crate) async fn stats_of(connection: &mut Connection, user_id: Uuid, period: &Period) -> Result<Stats, OrderError> {
    stats(connection, Some(user_id), period).await
}

/// Counts everybody's orders in a time: a report.
pub(crate) async fn stats_of_all(connection: &mut Connection, limit: Duration, period: &Period) -> Result<Stats, OrderError> {
    let report = connection.transaction(async |connection| {
        begin(connection, limit).await?;
        stats(connection, None, period).await
    });
    report.await
}

async fn stats(connection: &mut Connection, user_id: Option<Uuid>, period: &Period) -> Result<Stats, OrderError> {
    let ids = period.ids();
    let rows: Vec<StatsRow> = sql_query(STATS)
        .bind::<Nullable<SqlUuid>, _>(user_id)
        .bind::<SqlUuid, _>(ids.start)
        .bind::<SqlUuid, _>(ids.end)
        .bind::<Nullable<Timestamptz>, _>(period.from)
        .bind::<Nullable<Timestamptz>, _>(period.before)
        .load(connection)
        .await?;
    let count = |status| rows.iter().find(|row| row.status == Some(status)).map_or(0, |row| row.orders.unsigned_abs());
    let by_status = Status::ALL.into_iter().map(|status| (status, count(status))).collect();
    Ok(Stats { by_status, by_currency: rows.into_iter().filter_map(StatsRow::currency).collect() })
}

impl StatsRow {
    fn currency(self) -> Option<CurrencyStats> {
        let [lower, upper] = self.middle?.try_into().ok()?;
        Some(CurrencyStats {
            currency: self.currency?,
            orders: self.orders.unsigned_abs(),
            revenue: self.revenue?,
            average: self.average?,
            median: cents((lower + upper) / Decimal::TWO),
            largest: self.largest?,
        })
    }
}

/// As Postgres rounds: half a cent is a cent.
fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}
