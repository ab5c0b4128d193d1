//! Orders, counted and summed in one statement: both halves are about the same moment.

use db::connection::Connection;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    error::OrderError,
    period::Period,
    stats::{CurrencyStats, Stats},
    status::Status,
};

/// The lower and the upper middle are one value where their number is odd; `percentile_cont` would compute with floats.
const STATS: &str = "WITH chosen AS (
    SELECT status, currency, total_amount FROM orders.orders
    WHERE ($1 IS NULL OR customer_id = $1) AND order_id >= $2 AND order_id < $3
      AND ($4 IS NULL OR created_at >= $4) AND ($5 IS NULL OR created_at < $5)
)
SELECT status, NULL AS currency, count(*) AS orders,
    NULL::numeric AS revenue, NULL::numeric AS average, NULL::numeric AS median, NULL::numeric AS largest
FROM chosen GROUP BY status
UNION ALL
SELECT NULL, currency, count(*), sum(total_amount), round(avg(total_amount), 2),
    round((percentile_disc(0.5) WITHIN GROUP (ORDER BY total_amount)
         + percentile_disc(0.5) WITHIN GROUP (ORDER BY total_amount DESC)) / 2, 2),
    max(total_amount)
FROM chosen WHERE status <> 'cancelled' GROUP BY currency
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
    #[diesel(sql_type = Nullable<Numeric>)]
    median: Option<Decimal>,
    #[diesel(sql_type = Nullable<Numeric>)]
    largest: Option<Decimal>,
}

/// Counts the orders of a user, or of everybody, in a time.
pub(crate) async fn stats(connection: &mut Connection, user_id: Option<Uuid>, period: &Period) -> Result<Stats, OrderError> {
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
        Some(CurrencyStats {
            currency: self.currency?,
            orders: self.orders.unsigned_abs(),
            revenue: self.revenue?,
            average: self.average?,
            median: self.median?,
            largest: self.largest?,
        })
    }
}
