//! Orders of other days, as they would stand in the database.

use chrono::{DateTime, TimeZone, Utc};
use db::schema::orders::{customers, orders};
use diesel::ExpressionMethods;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use prost_types::Timestamp;
use rust_decimal::{Decimal, dec};
use uuid::{NoContext, Uuid};

/// A row of `orders.orders`.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) user_id: Uuid,
    pub(crate) status: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) total_amount: Decimal,
    pub(crate) created_at: DateTime<Utc>,
}

impl Past {
    pub(crate) fn of(user_id: Uuid, created_at: DateTime<Utc>) -> Self {
        Self { user_id, status: "placed", currency: "EUR", total_amount: dec!(10.00), created_at }
    }

    /// Writes the order, under an id of its time.
    pub(crate) async fn write(&self, connection: &mut AsyncPgConnection) -> String {
        let buyer = (customers::customer_id.eq(self.user_id), customers::username.eq("Ada"), customers::email.eq("ada@example.com"));
        diesel::insert_into(customers::table).values(buyer).on_conflict_do_nothing().execute(connection).await.unwrap();
        let seconds = u64::try_from(self.created_at.timestamp()).unwrap();
        let order_id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, self.created_at.timestamp_subsec_nanos()));
        let row = (
            orders::order_id.eq(order_id),
            orders::customer_id.eq(self.user_id),
            orders::status.eq(self.status),
            orders::total_amount.eq(self.total_amount),
            orders::currency.eq(self.currency),
            orders::request_hash.eq(vec![0_u8]),
            orders::created_at.eq(self.created_at),
            orders::updated_at.eq(self.created_at),
        );
        diesel::insert_into(orders::table).values(row).execute(connection).await.unwrap();
        order_id.to_string()
    }
}

/// An hour of January 2026, and some microseconds.
pub(crate) fn january(day: u32, hour: u32, micros: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, day, hour, 0, 0).unwrap() + chrono::TimeDelta::microseconds(micros)
}

/// A moment, where there is one, with nanoseconds on top of it.
pub(crate) fn message(moment: impl Into<Option<DateTime<Utc>>>, nanos: i32) -> Option<Timestamp> {
    let moment = moment.into()?;
    let subsec = i32::try_from(moment.timestamp_subsec_nanos()).unwrap();
    Some(Timestamp { seconds: moment.timestamp(), nanos: subsec + nanos })
}
