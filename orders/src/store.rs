//! All SQL of `orders`. A unit of work is one statement, or says where its transaction begins and ends.
//!
//! Nobody waits in a circle: stock is locked in the order of product ids everywhere, and whoever has locked it locks no order.

mod change;
mod customer;
mod order;
mod outbox;
mod place;
mod placing;
mod report;
mod stats;
mod stock;

use diesel::{
    deserialize::{self, FromSql},
    pg::{Pg, PgValue},
    serialize::{self, Output, ToSql},
    sql_types::Text,
};

pub(crate) use change::{cancel, step};
pub(crate) use customer::{create_customer, find_customer, list_customers};
pub(crate) use order::{Filter, Wanted, find, list};
pub(crate) use placing::{Placed, place, placed_before};
pub(crate) use report::{order_values, revenue_by_day, top_customers};
pub(crate) use stats::{stats_of, stats_of_all};
pub(crate) use stock::{find_stock, set_stock};

use crate::status::Status;

impl ToSql<Text, Pg> for Status {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.name(), out)
    }
}

impl FromSql<Text, Pg> for Status {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let name = <String as FromSql<Text, Pg>>::from_sql(value)?;
        Self::named(&name).ok_or_else(|| format!("no order is {name}").into())
    }
}
